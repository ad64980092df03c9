"""What can go wrong because of what the user gave, as one small tree of exceptions.

A command prints the message of a `StudyError` and exits with code 2; anything else is a bug and shows its
traceback. Messages have one form: ``` `where`: the rule, got the value. What to do. ```
"""

from collections.abc import Iterable
from difflib import get_close_matches


class StudyError(Exception):
    """Something that the user gave cannot be used; the message says what, why and what to do."""


class SpecError(StudyError):
    """The study file or a command-line override is wrong."""


class DataError(StudyError):
    """A data set, image, sheet or split is wrong."""


class OtherDataError(DataError):
    """The data of the study are not on this machine, or others are; another machine may have them."""


class BadImageError(DataError):
    """An image cannot be used; the message is the reason in a few words."""


class WeightsError(StudyError):
    """Pretrained weights cannot be found, read or fitted to the network."""


class StorageError(StudyError):
    """A place to write to or to read from cannot be used."""


class CacheError(StorageError):
    """The cache of this machine cannot be written; another machine may do the same work."""


class ClusterError(StudyError):
    """The cluster cannot be joined or cannot run a trial."""


class ResourceError(StudyError):
    """A study does not fit the machine."""


def suggest(got: str, known: Iterable[str]) -> str:
    """`` Did you mean `x`? Known: a, b, x.`` with the nearest of the known names first."""
    known = sorted(known)
    nearest = get_close_matches(got, known, n=1, cutoff=0.5)
    hint = f"Did you mean `{nearest[0]}`? " if nearest else ""
    return f"{hint}Known: {', '.join(known)}."
