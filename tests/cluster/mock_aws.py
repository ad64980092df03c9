"""AWS on one port: EC2, IAM, STS and S3 of moto, the metadata service of the instances, and files to fetch.

IAM is obeyed: a request must be signed, by the user or with the credentials that the metadata service gives
to an instance, and the policies of that user or role must allow it.
"""

import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import boto3
from moto import settings
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sts.models import sts_backends
from werkzeug import Request, Response
from werkzeug.serving import WSGIRequestHandler, make_server

METADATA = "169.254.169.254"  # where every instance of EC2 finds its metadata
FILES, ROLE = "/files/", "/latest/meta-data/iam/security-credentials/"
LATE_S = 3.0  # the cloud's own library gives up after one
TOKEN, TOKEN_HEADER = "/latest/api/token", "X-aws-ec2-metadata-token"
SIGNER = re.compile(r"Credential=(\w+)/\d+/[\w-]+/(\w+)/")
EVERYTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


@dataclass(frozen=True)
class Asked:
    """A request to AWS that was answered.

    Attributes:
        who: The user or role whose credentials signed it.
        what: Service and action, for S3 method and path.
        status: Status of the answer.
    """

    who: str
    what: str
    status: str


class MockAWS:
    """The server, which answers until the process ends.

    Args:
        address: Its address, by which machines reach it; port 80.
        region: The region whose instances have metadata.

    Attributes:
        endpoint: What AWS_ENDPOINT_URL must be.
        files_url: Where the files can be fetched.
        files: The files by name, as their content or their place.
        asked: Every request to AWS, in order.
        environment: Environment of the user, who may do all.
    """

    def __init__(self, address: str, region: str) -> None:
        self.endpoint, self.region = f"http://{address}", region
        self.files_url = f"{self.endpoint}{FILES}"
        self.files: Mapping[str, bytes | Path] = {}
        self.asked: list[Asked] = []
        self.environment = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": region,
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
        }
        self._names: dict[str, str] = {}
        self._tokens: dict[str, str | None] = {}
        self._clients: dict[str, Any] = {}
        self._app = DomainDispatcherApplication(create_backend_app)
        running = make_server("0.0.0.0", 80, self, threaded=True, request_handler=_Quiet)
        Thread(target=running.serve_forever, daemon=True).start()
        self._make_user()

    def client(self, service: str) -> Any:
        """A client of the cloud's own library, with the rights of the user."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.endpoint,
                region_name=self.region,
                aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            )
        return self._clients[service]

    def instances(self) -> list[dict[str, Any]]:
        """All instances, also those that were terminated."""
        reservations = self.client("ec2").describe_instances()["Reservations"]
        return [instance for reservation in reservations for instance in reservation["Instances"]]

    def _make_user(self) -> None:
        iam = self.client("iam")
        iam.create_user(UserName="user")
        iam.put_user_policy(UserName="user", PolicyName="all", PolicyDocument=json.dumps(EVERYTHING))
        key = iam.create_access_key(UserName="user")["AccessKey"]
        self._names[key["AccessKeyId"]] = "user"
        self.environment["AWS_ACCESS_KEY_ID"] = key["AccessKeyId"]
        self.environment["AWS_SECRET_ACCESS_KEY"] = key["SecretAccessKey"]
        self._clients.clear()  # they are nobody's, and so were their requests
        self.asked.clear()
        settings.INITIAL_NO_AUTH_ACTION_COUNT = 0  # from here on every request needs its right

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answers a request."""
        request = Request(environ)
        if request.path.startswith("/latest/"):
            return self._metadata(request)(environ, start)
        if request.path.startswith(FILES):
            content = self.files[request.path.removeprefix(FILES)]
            return Response(content if isinstance(content, bytes) else content.read_bytes())(environ, start)
        return self._aws(environ, start)

    def _aws(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        key, service = (SIGNER.findall(environ.get("HTTP_AUTHORIZATION", "")) or [("nobody", "?")])[0]
        what = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            environ["wsgi.input"] = BytesIO(body)
            (what,) = parse_qs(body.decode()).get("Action", [what])

        def noting(status: str, *rest: Any) -> Any:
            self.asked.append(Asked(self._names.get(key, key), f"{service}:{what}", status))
            return start(status, *rest)

        answer: Iterable[bytes] = self._app(environ, noting)
        return answer

    def _metadata(self, request: Request) -> Response:
        """Answers as version 2 of the metadata service does: only to those who have asked for a token.

        The first answer to each machine comes late, as on a busy host.
        """
        if request.method == "PUT" and request.path == TOKEN:
            token = secrets.token_hex()
            if request.remote_addr not in self._tokens.values():
                time.sleep(LATE_S)
            self._tokens[token] = request.remote_addr
            return Response(token, headers={"X-aws-ec2-metadata-token-ttl-seconds": "21600"})
        if self._tokens.get(request.headers.get(TOKEN_HEADER, "")) != request.remote_addr:
            return Response(status=401)
        running = [one for one in self.instances() if one["State"]["Name"] == "running"]
        (instance,) = [one for one in running if one["PrivateIpAddress"] == request.remote_addr]
        role = instance["IamInstanceProfile"]["Arn"].rpartition("/")[2]  # the file's profiles and roles
        answers = {
            "/latest/meta-data/instance-id": instance["InstanceId"],
            "/latest/meta-data/placement/availability-zone": instance["Placement"]["AvailabilityZone"],
            "/latest/meta-data/placement/region": self.region,
            ROLE.rstrip("/"): role,
            ROLE: role,
        }
        if request.path == f"{ROLE}{role}":
            return Response(json.dumps(self._credentials_of(role, instance["InstanceId"])))
        if request.path in answers:
            return Response(answers[request.path])
        return Response(status=404)

    def _credentials_of(self, role: str, session: str) -> dict[str, str]:
        sts = sts_backends[DEFAULT_ACCOUNT_ID]["aws"]
        arn = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/{role}"
        given = sts.assume_role(self.region, session, arn, policy="", duration=3600, external_id="")
        self._names[given.access_key_id] = role
        return {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "Expiration": f"{datetime.now(UTC) + timedelta(hours=6):%Y-%m-%dT%H:%M:%SZ}",
            "AccessKeyId": given.access_key_id,
            "SecretAccessKey": given.secret_access_key,
            "Token": given.session_token,
        }


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Says nothing; the mock notes the requests itself."""
