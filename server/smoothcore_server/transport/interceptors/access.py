"""Who may call which method, read from the descriptors once, at start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from google.api import field_behavior_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, MethodDescriptor

from smoothcore.v1 import access_pb2
from smoothcore_server.transport.methods import PROBE_SERVICES


class UndeclaredAccessError(Exception):
    """A method does not say who may call it, so the server does not start."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call a method. Exactly one of permission and the four flags is set."""

    permission: str = ""
    machine_path: tuple[str, ...] = ()
    """Path of the request field that names the machine the call is about."""
    public: bool = False
    per_type: bool = False
    any_credential: bool = False
    operator: bool = False
    """Only the operator of the instance, on the local socket."""
    sensitive: bool = False
    """Each call is noted as a security event."""


def access_table(services: Iterable[str], *, probes_are_public: bool) -> dict[str, Access]:
    """Access by path, for all methods of the given services.

    Health and reflection are no files of ours and have an entry for their whole service: public,
    or for anybody with a credential.
    """
    table: dict[str, Access] = {}
    for service in services:
        if service in PROBE_SERVICES:
            table[service] = Access(public=probes_are_public, any_credential=not probes_are_public)
        else:
            table.update(_of_service(service))
    return table


def find(table: Mapping[str, Access], path: str) -> Access | None:
    """The access of a method: its own entry, or that of its service."""
    return table.get(path) or table.get(path.strip("/").partition("/")[0])


def _of_service(name: str) -> dict[str, Access]:
    try:
        service = descriptor_pool.Default().FindServiceByName(name)
    except KeyError:
        raise UndeclaredAccessError(
            f"no proto file describes the service {name}; declare its access"
        ) from None
    return {f"/{name}/{method.name}": read_access(method) for method in service.methods}


def read_access(method: MethodDescriptor) -> Access:
    """What the option of a method says. Raises UndeclaredAccessError unless it is complete."""
    option = method.GetOptions().Extensions[access_pb2.access]
    flags = (option.public, option.per_type, option.any_credential, option.operator)
    if sum((bool(option.permission), *flags)) != 1:
        raise UndeclaredAccessError(
            f"{method.full_name} must declare exactly one of permission, public, per_type, "
            "any_credential and operator in its option (smoothcore.v1.access)"
        )
    path = tuple(option.machine_field.split(".")) if option.machine_field else ()
    if path:
        _assert_names_machine(method, path)
    return Access(option.permission, path, *flags, sensitive=option.sensitive)


def _assert_names_machine(method: MethodDescriptor, path: tuple[str, ...]) -> None:
    """A machine that may be left out, and means all when it is, would let a bound key through."""
    message: Descriptor | None = method.input_type
    for name in path:
        field = message.fields_by_name.get(name) if message else None
        if field is None:
            raise UndeclaredAccessError(f"{method.full_name} has no field {'.'.join(path)}")
        behaviors = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
        must_be_there = {field_behavior_pb2.REQUIRED, field_behavior_pb2.IDENTIFIER}
        if not must_be_there.intersection(behaviors) and not field.containing_oneof:
            raise UndeclaredAccessError(f"{field.full_name} names a machine and is not required")
        message = field.message_type
