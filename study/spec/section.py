"""What every part of a study file is made of."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from study.spec import components

Share = Annotated[float, Field(ge=0, le=1)]
# Paths are made absolute where they are read: a trial runs in a process with another working directory.
LocalPath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


def is_uri(place: str) -> bool:
    """Whether a place is the URI of an object store, such as `s3://bucket/odir5k`, and no path."""
    return "://" in place


def absolute_or_uri(place: str | Path) -> str:
    """A path made absolute, since a trial runs in another working directory; a URI as it is."""
    return str(place) if is_uri(str(place)) else str(Path(place).expanduser().absolute())


Place = Annotated[
    str,
    BeforeValidator(lambda given: absolute_or_uri(given) if isinstance(given, str | Path) else given),
]


class Section(BaseModel):
    """A part of the study file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def slot(kind: str, where: str) -> BeforeValidator:
    """Reads a component from a name, or from a mapping with `name` and its arguments.

    Args:
        kind: the open set that the component belongs to.
        where: dotted place in the study file, for messages.
    """
    return BeforeValidator(lambda value: components.parse(kind, value, where))
