"""Places as users give them: a path of this machine, or the URI of an object store."""

from pathlib import Path

import pyarrow as pa
from pyarrow import fs


def is_uri(where: str) -> bool:
    """Whether the place is a URI such as `s3://bucket/odir5k`, and no path."""
    return "://" in where


def locate(where: str) -> tuple[fs.FileSystem, str]:
    """The storage and the path on it of a local path or a URI.

    Raises:
        OSError: The storage cannot be reached.
        pyarrow.ArrowException: Nothing opens such a URI.
    """
    if not is_uri(where):
        return fs.LocalFileSystem(), str(Path(where).expanduser().absolute())
    filesystem, root = fs.FileSystem.from_uri(where)
    return filesystem, root.rstrip("/")


REFUSALS = (OSError, pa.ArrowException)
"""What a storage raises that cannot be reached or that refuses."""
