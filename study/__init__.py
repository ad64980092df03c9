"""The study platform, in the order in which data walks.

What is asked (spec), the pairs (data), what came out (evidence), how it runs (engine), what is shown
(reporting), and the commands. In Python, `open_run` reads a finished study and `run_study` runs one.
"""

from typing import TYPE_CHECKING

from study import places as _places  # noqa: F401  # before any library that wants a home

if TYPE_CHECKING:
    from study.api import StudyRun, TrialNetwork, open_run, run_study

__all__ = ["StudyRun", "TrialNetwork", "open_run", "run_study"]


def __getattr__(name: str) -> object:
    """A name of `__all__`, loaded when it is first asked for: the doctor must start without any library."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from study import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
