"""Server reflection, so that grpcurl and others need no proto files."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import aio as reflection_aio

from smoothcore_server.transport.methods import REFLECTION_V1, REFLECTION_V1ALPHA
from smoothcore_server.transport.resource_names import PACKAGE

# Imported for its effect: tools print error details only if the descriptor pool has their types.
_DESCRIBED = error_details_pb2.DESCRIPTOR.name


class _Pool:
    """The default pool, which finds the files of methods and fields too, and hides the files of
    services that are not served here.

    The pool itself finds files by messages, enums and services only, and `grpcurl describe` of a
    method would say that there is none.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._pool: Any = descriptor_pool.Default()
        self._services = frozenset(services)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        """The file of a symbol. Raises KeyError."""
        try:
            found = self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            found = self._find_member(symbol).file
        return self._shown(found)

    def FindFileByName(self, name: str) -> FileDescriptor:
        """A file. Raises KeyError."""
        return self._shown(self._pool.FindFileByName(name))

    def _shown(self, file: Any) -> FileDescriptor:
        described = {service.full_name for service in file.services_by_name.values()}
        if file.package == PACKAGE and described and not described & self._services:
            raise KeyError(file.name)
        return cast("FileDescriptor", file)

    def _find_member(self, symbol: str) -> Any:
        for find in (self._pool.FindMethodByName, self._pool.FindFieldByName):
            with suppress(KeyError):
                member = find(symbol)
                return getattr(member, "containing_service", None) or member.containing_type
        raise KeyError(symbol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


def register(server: grpc.aio.Server, services: Iterable[str]) -> None:
    """Add reflection of the given services to a server that has not started.

    The library has v1alpha only. The messages of v1 are the same on the wire, so the same servicer
    stands under both names; only the one that can describe itself is listed.
    """
    served = [*services, REFLECTION_V1ALPHA]
    servicer = reflection_aio.ReflectionServicer(served, _Pool(served))
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (REFLECTION_V1ALPHA, REFLECTION_V1):
        server.add_registered_method_handlers(name, {"ServerReflectionInfo": handler})
