"""The token that opens a Ray cluster: where Ray looks for it, and that only its owner can read it."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from study.places import CACHE
from study.spec.errors import ClusterError

TOKEN = ".ray/auth_token"  # in the home folder of each machine, unless RAY_AUTH_TOKEN_PATH names another file


def token_path() -> Path:
    """Where Ray looks for the token of its clusters."""
    given = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return Path(given).expanduser() if given else Path.home() / TOKEN


def show_ray_the_token() -> None:
    """Makes the token, and tells Ray where it is, which itself only looks below HOME.

    Where the user's home cannot be written, as in a container, the token lies in the cache.

    Raises:
        ClusterError: It can be written to neither.
    """
    if os.environ.get("RAY_AUTH_MODE") == "disabled" or os.environ.get("RAY_AUTH_TOKEN"):
        return
    for path in (token_path(), CACHE / "auth_token"):
        with suppress(OSError):
            keep_token_private(path)
            os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
            return
    raise ClusterError(
        f"`RAY_AUTH_TOKEN_PATH`: must be a file that can be written, got neither `{token_path()}` nor "
        f"`{CACHE}` writable. Set it, or set STUDY_CACHE to a folder that can be written."
    )


def keep_token_private(path: Path) -> None:
    """Makes the token where there is none, and takes from all but its owner the right to read it.

    Ray itself writes it readable to all.
    """
    if path.is_file():
        with suppress(OSError):  # another user's file, or a read-only one of Kubernetes
            path.chmod(0o600)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
