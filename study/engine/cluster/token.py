"""The token that opens a Ray cluster: where Ray looks for it, and that only its owner can read it."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

TOKEN = ".ray/auth_token"  # in the home folder of each machine, unless RAY_AUTH_TOKEN_PATH names another file


def token_path() -> Path:
    """Where Ray looks for the token of its clusters."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or f"~/{TOKEN}").expanduser()


def keep_token_private(path: Path) -> None:
    """Makes the token where there is none, and takes from all but its owner the right to read it.

    Ray itself writes it readable to all.
    """
    if os.environ.get("RAY_AUTH_MODE") == "disabled" or os.environ.get("RAY_AUTH_TOKEN"):
        return
    if path.is_file():
        with suppress(OSError):  # another user's file, or a read-only one of Kubernetes
            path.chmod(0o600)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
