"""How the client connects: TLS, keepalive, retries."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import grpc
import grpc.aio
from google.api import annotations_pb2
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

from smoothcore.v1 import (
    auth_service_pb2,
    binding_service_pb2,
    change_service_pb2,
    identity_service_pb2,
    job_service_pb2,
    machine_service_pb2,
    program_service_pb2,
    tool_service_pb2,
    verification_service_pb2,
)

_FILES: tuple[FileDescriptor, ...] = (
    auth_service_pb2.DESCRIPTOR,
    binding_service_pb2.DESCRIPTOR,
    change_service_pb2.DESCRIPTOR,
    identity_service_pb2.DESCRIPTOR,
    job_service_pb2.DESCRIPTOR,
    machine_service_pb2.DESCRIPTOR,
    program_service_pb2.DESCRIPTOR,
    tool_service_pb2.DESCRIPTOR,
    verification_service_pb2.DESCRIPTOR,
)

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Largest message that is accepted; a page of a thousand wide resources exceeds gRPC's 4 MB."""

RETRY_BUFFER_BYTES = 8 * 1024 * 1024
"""gRPC gives up retrying a call whose request is larger than this; its own 256 KiB would leave
out every push of a larger table."""

_RETRY_POLICY = {
    "maxAttempts": 4,
    "initialBackoff": "0.2s",
    "maxBackoff": "3s",
    "backoffMultiplier": 2.5,
    "retryableStatusCodes": ["UNAVAILABLE"],
}

# Methods that change nothing, though HTTP says POST because their request has a body.
_READING_POSTS = {"VerifyProgram"}


@dataclass(frozen=True, slots=True)
class TLS:
    """How to verify the server, and how the client proves itself where that is asked."""

    ca: str | PathLike[str] | bytes | None = None
    """PEM file (or its bytes) with the certificates to trust; the system's when absent."""
    certificate: str | PathLike[str] | bytes | None = None
    """PEM file (or its bytes) with the client's certificate, for mutual TLS."""
    private_key: str | PathLike[str] | bytes | None = None
    """PEM file (or its bytes) with the key of ``certificate``."""
    server_name: str | None = None
    """The name to expect in the server's certificate, where it is not that of the target."""

    def credentials(self) -> grpc.ChannelCredentials:
        """The credentials of a channel. Raises OSError for a file that cannot be read."""
        return grpc.ssl_channel_credentials(
            root_certificates=_pem(self.ca),
            private_key=_pem(self.private_key),
            certificate_chain=_pem(self.certificate),
        )


class InsecureTransportError(ValueError):
    """A key would travel over the network where everybody on the way can read it."""


def _pem(source: str | PathLike[str] | bytes | None) -> bytes | None:
    if source is None or isinstance(source, bytes):
        return source
    return Path(source).read_bytes()


def is_loopback(target: str) -> bool:
    """Whether a gRPC target stays on this computer."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    endpoints = re.sub(r"^(dns|ipv4|ipv6|passthrough):(//[^/]*/)?", "", target)
    return all(map(_is_loopback_endpoint, endpoints.split(",")))


def _is_loopback_endpoint(endpoint: str) -> bool:
    bracketed = re.match(r"^\[([^\]]+)\]", endpoint)
    host = bracketed.group(1) if bracketed else endpoint.partition(":")[0]
    if bracketed is None and endpoint.count(":") > 1:
        host = endpoint
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_transport(target: str, *, has_key: bool, tls: TLS | None, insecure: bool) -> None:
    """Refuses to send a key in plaintext to another computer."""
    if has_key and tls is None and not insecure and not is_loopback(target):
        raise InsecureTransportError(
            f"refusing to send the API key to {target} unencrypted: anybody on the way could read "
            "it. Use TLS (tls=True, or tls=TLS(ca=...) for your own authority), or insecure=True "
            "if the network itself is trusted"
        )


def open_channel(target: str, tls: TLS | None) -> grpc.aio.Channel:
    """A channel with keepalive and retries. Call it inside a running event loop."""
    options = _options(target, tls)
    if tls is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, tls.credentials(), options=options)


def _options(target: str, tls: TLS | None) -> Sequence[tuple[str, str | int]]:
    options: list[tuple[str, str | int]] = [
        ("grpc.keepalive_time_ms", 45_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.per_rpc_retry_buffer_size", RETRY_BUFFER_BYTES),
        ("grpc.service_config", service_config()),
        ("grpc.primary_user_agent", "smoothcore-client"),
    ]
    if is_loopback(target):
        # A proxy of the company's network cannot reach this computer.
        options.append(("grpc.enable_http_proxy", 0))
    if tls is not None and tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return options


def service_config() -> str:
    """gRPC's service config: which methods are retried, and how."""
    names = [
        {"service": method.containing_service.full_name, "method": method.name}
        for method in _methods()
        if is_repeatable(method)
    ]
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": _RETRY_POLICY}]})


def is_repeatable(method: MethodDescriptor) -> bool:
    """Whether a unary method is safe to repeat: it reads, or it carries a request_id.

    Streams are left out: a watch goes on from its token, an upload starts anew.
    """
    if method.client_streaming or method.server_streaming:
        return False
    if method.name in _READING_POSTS or "request_id" in method.input_type.fields_by_name:
        return True
    return bool(method.GetOptions().Extensions[annotations_pb2.http].HasField("get"))


def _methods() -> Iterator[MethodDescriptor]:
    for file in _FILES:
        for service in file.services_by_name.values():
            yield from service.methods
