"""Files as sheets name them: other case, another or no suffix, backslashes, other Unicode forms of a name."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path, PureWindowsPath
from unicodedata import normalize

from study.data.images import SUFFIXES
from study.spec.errors import DataError

FOLDER_OF_ARCHIVES = "__MACOSX"  # what macOS adds to the archives that it makes
SHORT_SUFFIX = {".jpeg": ".jpg", ".tiff": ".tif"}


def exists_for_people(path: Path) -> bool:
    """Whether a name is one that a person gave.

    Names with a leading dot (`._1_left.jpg` holds what macOS notes about a file), the locks of Office (`~$`)
    and `__MACOSX` are not.
    """
    return not path.name.startswith((".", "~$")) and path.name != FOLDER_OF_ARCHIVES


class ImageNames:
    """Finds images below a folder by the names that a sheet has for them.

    Args:
        folder: Where the names start.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._in_folder = lru_cache(maxsize=None)(_Names)

    def find(self, name: str) -> str | None:
        """The path of the image below the folder, with `/`; None where there is none.

        The exact name is taken where it is there. Else case and Unicode form (NFC or NFD) do not count,
        `.jpg` is `.jpeg` and `.tif` is `.tiff`, a name without a suffix takes that of the image, and
        backslashes separate folders. A name never finds a file of another type, which may be a mask.

        Raises:
            DataError: several files go by the name.
        """
        if (self.folder / name).is_file():
            return name
        here = self.folder
        found: list[str] = []
        *parents, last = with_slashes(name).split("/")
        for part in parents:
            child = part if part in (".", "..") else self._in_folder(here).folder(part)
            if child is None:
                return None
            here, found = here / child, [*found, child]
        file = self._in_folder(here).image(last)
        return None if file is None else "/".join([*found, file])


def with_slashes(name: str) -> str:
    r"""`\eyes\1.jpg` as `eyes/1.jpg`; other names, and those with a drive, keep their start."""
    if "\\" not in name:
        return name
    path = PureWindowsPath(name)
    return path.as_posix() if path.drive else path.as_posix().lstrip("/")


class _Names:
    """The names in a folder, by what is the same in all their forms."""

    def __init__(self, folder: Path) -> None:
        self.where = folder

    @cached_property
    def _entries(self) -> list[Path]:
        return sorted(filter(exists_for_people, self.where.iterdir())) if self.where.is_dir() else []

    @cached_property
    def _folders(self) -> dict[str, list[str]]:
        return _by_form((path.name, path.name) for path in self._entries if path.is_dir())

    @cached_property
    def _images(self) -> dict[str, list[str]]:
        """With their suffix and without."""
        files = [path for path in self._entries if path.suffix.lower() in SUFFIXES]
        return _by_form((name, path.name) for path in files for name in (path.name, path.stem))

    def folder(self, name: str) -> str | None:
        return self._only(name, self._folders.get(_form(name), []))

    def image(self, name: str) -> str | None:
        return self._only(name, self._images.get(_form(name), []))

    def _only(self, name: str, found: list[str]) -> str | None:
        if len(found) > 1:
            raise DataError(
                f"`{self.where}`: one file must go by the name `{name}`, got {', '.join(found)}. "
                "Remove one, or write its exact name into the sheet."
            )
        return found[0] if found else None


def _by_form(names: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The second names by the form of the first."""
    found = defaultdict(list)
    for name, of in names:
        found[_form(name)].append(of)
    return found


def _form(name: str) -> str:
    """What a name has in common with its other forms."""
    folded = normalize("NFC", name).casefold()
    suffix = Path(folded).suffix
    return folded.removesuffix(suffix) + SHORT_SUFFIX.get(suffix, suffix)
