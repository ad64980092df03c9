"""What listens at an address, before Ray tries for minutes to join it."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import grpc
import pytest
from ray.core.generated import gcs_service_pb2_grpc
from ray.core.generated.gcs_service_pb2 import CheckAliveReply  # type: ignore[attr-defined]

from study.engine.cluster import ping
from study.engine.cluster.ping import why_not_joined

Answer = Callable[[object, grpc.ServicerContext], object]


@contextmanager
def head(answer: Answer | None) -> Iterator[str]:
    """Address of a server that answers as a head does; None for one that knows no Ray."""

    class Head(gcs_service_pb2_grpc.NodeInfoGcsServiceServicer):
        def CheckAlive(self, request: object, context: grpc.ServicerContext) -> object:
            assert answer is not None
            return answer(request, context)

    server = grpc.server(ThreadPoolExecutor(1))
    if answer is not None:
        gcs_service_pb2_grpc.add_NodeInfoGcsServiceServicer_to_server(Head(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def refuse(request: object, context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")


def test_a_head_that_answers_can_be_joined() -> None:
    with head(lambda request, context: CheckAliveReply()) as address:
        assert why_not_joined(address) == ""


def test_a_wrong_token_is_named() -> None:
    with head(refuse) as address:
        assert "the token of this machine is not that of the cluster. Copy" in why_not_joined(address)


def test_a_port_of_something_else_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ping, "WAIT_S", 0.5)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        assert "not the head of a Ray cluster, whose port is 6379" in why_not_joined(f"127.0.0.1:{port}")
    with head(None) as address:
        assert why_not_joined(address) == "what listens there is not the head of a Ray cluster"
    assert "refused" in why_not_joined(f"127.0.0.1:{port}")
