"""A report in memory, checked against one that is made anew."""

from collections.abc import Mapping

from study.reporting.assembly import Report, files
from study.reporting.verifying import Verified, verify
from study.spec.errors import StorageError


def verified(report: Report, content: Mapping[str, bytes]) -> Verified:
    """What `verify` says of these files of a report without photographs."""

    def written(name: str) -> bytes:
        if name not in content:
            raise StorageError(f"`{name}`: is missing")
        return content[name]

    return verify(report, files(report), written, list(content), pictures=True)
