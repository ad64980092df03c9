"""Asks an address whether the head of a Ray cluster is there that this machine may join."""

import socket

import grpc  # comes with ray[default]
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated.gcs_service_pb2 import CheckAliveRequest  # type: ignore[attr-defined]
from ray.core.generated.gcs_service_pb2_grpc import NodeInfoGcsServiceStub

from study.engine.cluster.token import token_path

WAIT_S = 30.0  # for a head on a loaded machine; Ray itself would try for minutes without a word


def why_not_joined(address: str) -> str:
    """Why no cluster can be joined at `host:port`; empty where nothing speaks against it.

    Nobody listens, another program does, or the token is not that of the cluster.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        return str(error)
    return "" if address.startswith("ray://") else _why_not_answered(address)


def _why_not_answered(address: str) -> str:
    channel = init_grpc_channel(address)
    try:
        grpc.channel_ready_future(channel).result(timeout=WAIT_S)
        NodeInfoGcsServiceStub(channel).CheckAlive(CheckAliveRequest(), timeout=WAIT_S)
    except grpc.FutureTimeoutError:
        return "what listens there is not the head of a Ray cluster, whose port is 6379 unless it was given"
    except grpc.RpcError as error:
        code = error.code() if isinstance(error, grpc.Call) else None
        if code is grpc.StatusCode.UNAUTHENTICATED:
            return (
                "the token of this machine is not that of the cluster. Copy `~/.ray/auth_token` of its head "
                f"to `{token_path()}`"
            )
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return "what listens there is not the head of a Ray cluster"
    finally:
        channel.close()
    return ""
