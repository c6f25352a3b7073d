"""What is known of an RPC before anybody calls it: its name, its shape, its descriptor."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, MethodDescriptor

HEALTH = "grpc.health.v1.Health"
REFLECTION_V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"
REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"

PROBE_SERVICES = frozenset({HEALTH, REFLECTION_V1ALPHA, REFLECTION_V1})
"""Services that machinery calls all day: not traced, and logged at debug level only."""

UNKNOWN = "unknown"
"""Stands for every method that does not exist, so that callers cannot grow the metrics."""


class CallClass(enum.Enum):
    """Kinds of calls that are limited apart from each other.

    An idle watch costs next to nothing and stays for days; counted together with short calls it
    would use up their places.
    """

    UNARY = "unary"
    WATCH = "watch"
    UPLOAD = "upload"
    """Client streams, and streams in both directions."""


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC of this server."""

    path: str
    """As on the wire: ``/smoothcore.v1.ToolService/GetTool``."""
    service: str
    name: str
    request_streaming: bool
    response_streaming: bool
    descriptor: MethodDescriptor | None = None
    """None for a method that no proto file of this process describes."""

    @classmethod
    def of(cls, path: str, *, request_streaming: bool, response_streaming: bool) -> Method:
        """The method of a path, with its descriptor where there is one."""
        service, _, name = path.lstrip("/").partition("/")
        return cls(
            path=path,
            service=service,
            name=name,
            request_streaming=request_streaming,
            response_streaming=response_streaming,
            descriptor=_find_descriptor(service, name),
        )

    @classmethod
    def unknown(cls, path: str) -> Method:
        """A method that this server does not have."""
        return cls(path, UNKNOWN, UNKNOWN, request_streaming=True, response_streaming=False)

    @property
    def is_known(self) -> bool:
        """Whether this server has the method."""
        return self.service != UNKNOWN

    @property
    def is_probe(self) -> bool:
        """Whether this is a method of health or reflection."""
        return self.service in PROBE_SERVICES

    @property
    def request(self) -> Descriptor | None:
        """The descriptor of the request message."""
        return self.descriptor.input_type if self.descriptor else None

    @property
    def call_class(self) -> CallClass:
        """Among which calls it is counted."""
        if self.request_streaming:
            return CallClass.UPLOAD
        return CallClass.WATCH if self.response_streaming else CallClass.UNARY

    @property
    def grpc_type(self) -> str:
        """The shape, in the words of go-grpc-prometheus."""
        if not self.is_known:
            return UNKNOWN
        if self.request_streaming:
            return "bidi_stream" if self.response_streaming else "client_stream"
        return "server_stream" if self.response_streaming else "unary"


def _find_descriptor(service: str, name: str) -> MethodDescriptor | None:
    try:
        return descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
    except KeyError:
        return None
