"""Places as users give them: a path of this machine, or the URI of an object store."""

import pyarrow as pa
from pyarrow import fs

from study.data.patient_storage import patient
from study.spec.section import absolute_or_uri, is_uri


def locate(where: str) -> tuple[fs.FileSystem, str]:
    """The storage and the path on it of a local path or a URI; an object store is asked with patience.

    Raises:
        OSError: The storage cannot be reached.
        pyarrow.ArrowException: Nothing opens such a URI.
    """
    if not is_uri(where):
        return fs.LocalFileSystem(), absolute_or_uri(where)
    filesystem, root = fs.FileSystem.from_uri(where)
    return patient(filesystem), root.rstrip("/")


REFUSALS = (OSError, pa.ArrowException)
"""What a storage raises that cannot be reached or that refuses."""
