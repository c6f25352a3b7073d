"""The contract and the transport fit together: access, rules, order."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from prometheus_client import CollectorRegistry

from smoothcore.v1 import (
    access_pb2,
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
from smoothcore_server.app.call import address_of
from smoothcore_server.domain.principal import PERMISSIONS
from smoothcore_server.transport import rules
from smoothcore_server.transport.call_metrics import CallMetrics
from smoothcore_server.transport.in_flight import InFlight
from smoothcore_server.transport.interceptors import access
from smoothcore_server.transport.interceptors.chain import ORDER, Chain
from smoothcore_server.transport.methods import HEALTH, CallClass, Method
from smoothcore_server.transport.resource_names import patterns, type_of
from smoothcore_server.transport.server import GrpcServer, Service
from smoothcore_server.transport.settings import ServerSettings
from smoothcore_server.transport.validation import Validator
from tests.unit.test_transport_fakes import services

FILES = [
    auth_service_pb2,
    binding_service_pb2,
    change_service_pb2,
    identity_service_pb2,
    job_service_pb2,
    machine_service_pb2,
    program_service_pb2,
    tool_service_pb2,
    verification_service_pb2,
]
POOL = descriptor_pool.Default()


def methods() -> Iterator[MethodDescriptor]:
    for file in FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            yield from service.methods


def all_services() -> list[str]:
    return [
        service.full_name for file in FILES for service in file.DESCRIPTOR.services_by_name.values()
    ]


PUBLIC = {
    "/smoothcore.v1.AuthService/GetSigningKeys",
    "/smoothcore.v1.AuthService/Login",
    "/smoothcore.v1.AuthService/RefreshToken",
}
"""What needs no credential, each with tests of its own in test_login.py."""


def test_every_method_declares_who_may_call_it() -> None:
    table = access.access_table([*all_services(), HEALTH], probes_are_public=False)
    assert len(table) == len(list(methods())) + 1
    assert {path for path, declared in table.items() if declared.public} == PUBLIC


def test_every_permission_is_one_that_a_key_can_hold() -> None:
    for method in methods():
        declared = access.read_access(method)
        assert not declared.permission or declared.permission in PERMISSIONS, method.full_name


def test_a_method_about_one_machine_says_which_field_names_it() -> None:
    for method in methods():
        first = next(iter(method.input_type.fields), None)
        of_machine = {"machines.", "tooltable.", "bindings.", "jobs.", "readiness."}
        declared = access.read_access(method)
        if (
            first
            and declared.permission.startswith(tuple(of_machine))
            and first.name
            in (
                "name",
                "parent",
            )
        ):
            assert declared.machine_path, method.full_name


def make_method(access_option: access_pb2.Access | None, *, required: bool) -> MethodDescriptor:
    """A method in a pool of its own."""
    pool = descriptor_pool.DescriptorPool()
    for name in (
        "google/protobuf/descriptor.proto",
        "google/api/field_behavior.proto",
        "smoothcore/v1/access.proto",
    ):
        proto = descriptor_pb2.FileDescriptorProto()
        POOL.FindFileByName(name).CopyToProto(proto)
        pool.Add(proto)
    file = descriptor_pb2.FileDescriptorProto(
        name="t.proto",
        package="t",
        syntax="proto3",
        dependency=["google/api/field_behavior.proto", "smoothcore/v1/access.proto"],
    )
    message = file.message_type.add(name="Request")
    field = message.field.add(name="machine", number=1, type=9, label=1)
    if required:
        from google.api import field_behavior_pb2

        field.options.Extensions[field_behavior_pb2.field_behavior].append(
            field_behavior_pb2.REQUIRED
        )
    method = file.service.add(name="S").method.add(
        name="M", input_type=".t.Request", output_type=".t.Request"
    )
    if access_option:
        method.options.Extensions[access_pb2.access].CopyFrom(access_option)
    pool.Add(file)
    return pool.FindMethodByName("t.S.M")


@pytest.mark.parametrize(
    "option",
    [
        None,
        access_pb2.Access(),
        access_pb2.Access(permission="tools.read", public=True),
        access_pb2.Access(permission="tools.read", machine_field="no.such"),
        access_pb2.Access(permission="tools.read", machine_field="machine"),
    ],
    ids=["absent", "empty", "two ways", "unknown field", "optional machine"],
)
def test_an_incomplete_access_keeps_the_server_from_starting(
    option: access_pb2.Access | None,
) -> None:
    with pytest.raises(access.UndeclaredAccessError):
        access.read_access(make_method(option, required=False))


def test_a_machine_field_that_is_required_is_accepted() -> None:
    option = access_pb2.Access(permission="tools.read", machine_field="machine")
    assert access.read_access(make_method(option, required=True)).machine_path == ("machine",)


def test_a_service_that_nothing_describes_needs_its_access_declared() -> None:
    with pytest.raises(access.UndeclaredAccessError):
        access.access_table(["test.Echo"], probes_are_public=True)


def test_every_rule_names_a_field_that_exists() -> None:
    for name in rules.FIELDS:
        POOL.FindFieldByName(name)
    for name, rule in rules.MESSAGES.items():
        message = POOL.FindMessageTypeByName(name)
        for oneof in rule.oneofs:
            assert oneof in message.oneofs_by_name
    known = {field.name for message in _all_requests() for field in message.fields}
    known |= {field.name for each in patterns() for field in _resource(each).fields}
    assert set(rules.BY_NAME) <= known


def _all_requests() -> list[Descriptor]:
    return [method.input_type for method in methods()]


def _resource(kind: str) -> Descriptor:
    return POOL.FindMessageTypeByName(kind.replace("/", "."))


def test_every_request_can_be_checked() -> None:
    validator = Validator()
    for request in _all_requests():
        validator.compile(request)


def test_every_oneof_of_a_request_is_required_or_known_to_be_optional() -> None:
    for request in _all_requests():
        for oneof in request.oneofs:
            if len(oneof.fields) > 1:
                assert oneof.name in rules.message_rule_of(request.full_name).oneofs


def test_resource_names_tell_their_type() -> None:
    assert type_of("machines/mill-1/toolTableEntries/5") == "smoothcore.v1/ToolTableEntry"
    assert type_of("machines/mill-1/readiness") == "smoothcore.v1/Readiness"
    assert type_of("nonsense") == ""


def test_layers_in_another_order_are_refused() -> None:
    class Layer:
        def __init__(self, name: str) -> None:
            self.name = name

        def bind(self, _method: Method) -> None:
            return None

    metrics = CallMetrics(CollectorRegistry())
    Chain([Layer(name) for name in ORDER], metrics)
    swapped = (ORDER[0], ORDER[2], ORDER[1], *ORDER[3:])
    for order in (swapped, ORDER[:-1], ()):
        with pytest.raises(ValueError, match="must be"):
            Chain([Layer(name) for name in order], metrics)


def test_the_order_is_that_of_the_design() -> None:
    assert ORDER == (
        "boundary",
        "address_limits",
        "identity",
        "organization_limits",
        "principal_limits",
        "validation",
        "draining",
    )


def test_every_layer_is_a_real_coroutine_function() -> None:
    server = GrpcServer(ServerSettings(), [], authenticate=_nobody, registry=CollectorRegistry())
    method = Method.of(
        "/smoothcore.v1.ChangeService/WatchChanges",
        request_streaming=False,
        response_streaming=True,
    )
    chain = server._chain
    arounds = [layer.bind(method) for layer in chain._layers]
    assert all(inspect.iscoroutinefunction(around) for around in arounds)


async def _nobody(_token: str) -> None:
    raise AssertionError


async def test_a_handler_that_is_no_coroutine_keeps_the_server_from_starting() -> None:
    from smoothcore.v1 import tool_service_pb2_grpc

    class Tools(tool_service_pb2_grpc.ToolServiceServicer):
        def GetTool(self, _request: object, _context: object) -> None:
            return None

    server = GrpcServer(
        ServerSettings(listen=("127.0.0.1:0",)),
        [
            Service(
                tool_service_pb2_grpc.add_ToolServiceServicer_to_server,
                Tools(),
                "smoothcore.v1.ToolService",
            )
        ],
        authenticate=_nobody,
        registry=CollectorRegistry(),
    )
    with pytest.raises(TypeError, match=r"GetTool must be an async def"):
        await server.start()


def test_methods_are_counted_by_their_shape() -> None:
    def shape(requests: bool, replies: bool) -> CallClass:
        return Method.of("/a/b", request_streaming=requests, response_streaming=replies).call_class

    assert shape(False, False) is CallClass.UNARY
    assert shape(False, True) is CallClass.WATCH
    assert shape(True, False) is shape(True, True) is CallClass.UPLOAD


def test_keys_without_calls_take_no_memory() -> None:
    in_flight = InFlight(2)
    assert in_flight.enter("a")
    assert in_flight.enter("a")
    assert not in_flight.enter("a")
    assert in_flight.enter("b")
    for key in ("a", "a", "b"):
        in_flight.leave(key)
    assert len(in_flight) == 0


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.7:51234", "10.0.0.7"),
        ("ipv6:%5B::1%5D:51234", "[::1]"),
        ("ipv6:[::1]:51234", "[::1]"),
        ("unix:", ""),
        ("unix:/run/smoothd.sock", ""),
    ],
)
def test_peers_are_told_apart_by_address(peer: str, address: str) -> None:
    assert address_of(peer) == address


def test_the_fakes_serve_methods_of_the_contract() -> None:
    from tests.unit.test_transport_fakes import Fakes

    assert {each.name for each in services(Fakes())} - {"test.Echo"} <= set(all_services())
