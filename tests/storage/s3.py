"""An S3 server on loopback, with the faults that object stores have."""

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUCKET = "eyes"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}
REFUSALS = {
    "503 Slow Down": b"<Error><Code>SlowDown</Code><Message>Too many requests.</Message></Error>",
    "403 Forbidden": b"<Error><Code>InvalidAccessKeyId</Code><Message>Not known.</Message></Error>",
}


class Server:
    """The server while it runs.

    Attributes:
        port: Its port on loopback.
        refuses: Share of the requests that are refused.
        refusal: The answer that they get.
        requests: Method and path of each request that was answered.
    """

    def __init__(self) -> None:
        self.port, self.refuses, self.refusal = 0, 0.0, "503 Slow Down"
        self.requests: list[tuple[str, str]] = []
        self._app = DomainDispatcherApplication(create_backend_app)
        self._draw = random.Random(0)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers a request, or refuses it."""
        if self._draw.random() < self.refuses:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(self.refusal, [("Content-Type", "application/xml")])
            return [REFUSALS[self.refusal]]
        self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer

    def uri(self, path: str) -> str:
        """The URI of a path in the bucket."""
        return f"s3://{BUCKET}/{path}?endpoint_override=127.0.0.1:{self.port}&scheme=http&region=us-east-1"

    def client(self) -> Any:
        """A client of the cloud's own library."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Answers at its port, or at a free one the first time, until the block ends."""
        running = make_server("127.0.0.1", self.port, self, threaded=True)
        self.port = running.server_port
        thread = Thread(target=running.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            running.shutdown()
            running.server_close()
            thread.join()


@contextmanager
def s3_server() -> Iterator[Server]:
    """Runs the server, with one empty bucket."""
    server = Server()
    with server.listening():
        server.client().create_bucket(Bucket=BUCKET)
        yield server
