"""The one place that decides where a study writes outside of its run folder: caches, logs and the token."""

import os
import tempfile
from pathlib import Path


def give_a_home() -> None:
    """Sets HOME where there is none, as for a user id of a container that passwd does not know.

    Ray cannot be imported without a home. The folder is this user's own, among the temporary files.
    """
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(Path(tempfile.gettempdir()) / f"eyepair-study-{os.getuid()}")
        os.environ.setdefault("USER", f"user-{os.getuid()}")  # getpass looks here before it asks passwd


def _cache() -> Path:
    if given := os.environ.get("STUDY_CACHE"):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "eyepair-study"


give_a_home()
CACHE = _cache()
LOGS = CACHE / "logs"
