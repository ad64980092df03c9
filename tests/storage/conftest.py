"""The S3 server of these tests."""

from collections.abc import Iterator

import pytest

pytest.importorskip("moto", reason="uv sync --group oracles")

from tests.storage.s3 import BUCKET, CREDENTIALS, Server, s3_server


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with an empty bucket, and credentials for it in the environment."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with s3_server() as server:
        found = server.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])
        for item in found:  # moto keeps what earlier servers of the process had
            server.client().delete_object(Bucket=BUCKET, Key=item["Key"])
        yield server
