"""Image files, decoded to 8-bit RGB or refused with a reason, and small pictures as JPEG."""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from study.spec.errors import BadImageError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})


@dataclass(frozen=True)
class ImageFolder:
    """Loads images by their path below a folder."""

    folder: str

    def __call__(self, key: str) -> UInt8[np.ndarray, "h w 3"]:
        """Decodes the file `key`.

        Raises:
            BadImageError: as in `read_image`, or the path leads out of the folder.
        """
        folder, path = (Path(os.path.normpath(p)) for p in (self.folder, Path(self.folder) / key))
        if not path.is_relative_to(folder):
            raise BadImageError("its path leads out of the data's folder")
        return read_image(path)


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """The picture as 8-bit RGB.

    It is turned upright by its EXIF entry; 16-bit grey is scaled down, transparency is dropped.

    Raises:
        BadImageError: the file is missing, empty, not an image, truncated, or larger than Pillow allows
            (about 179 megapixels).
    """
    if not path.is_file():
        raise BadImageError("missing")
    if path.stat().st_size == 0:
        raise BadImageError("empty file")
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
    except UnidentifiedImageError:
        raise BadImageError("not an image") from None
    except Image.DecompressionBombError:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise BadImageError(f"more than {most / 1e6:.3g} megapixels") from None
    except Exception as error:  # a decoder raises nearly anything for a damaged file
        raise BadImageError(f"cannot be decoded ({error})") from None
    if upright.mode.startswith(("I", "F")):
        return _scaled_down(np.asarray(upright))
    return np.asarray(upright.convert("RGB"))


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keeps Pillow's warnings about odd files off the console.

    It stands around a whole pool of threads, since filters of warnings belong to the process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _scaled_down(grey: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    """Grey values of more than 8 bits, as their share of 16 bits, or of their maximum where that is more."""
    top = max(65535.0, float(grey.max()))
    return np.repeat((np.clip(grey, 0, None) / top * 255).astype(np.uint8)[..., None], 3, axis=2)


def jpeg(pixels: UInt8[np.ndarray, "h w 3"], most_px: int) -> bytes:
    """The picture as JPEG, its greater side no longer than `most_px`."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((most_px, most_px))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()
