"""The contract and the domain say the same: reasons, enums, fields that callers may set."""

from __future__ import annotations

import enum
import importlib
import pkgutil
import re
from typing import Any

import grpc
import pytest
from google.api import field_behavior_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, EnumDescriptor

import smoothcore.v1
import smoothcore_server.api.messages
from smoothcore.v1 import (
    error_reason_pb2,
    machine_pb2,
    machine_service_pb2,
    role_pb2,
    tool_pb2,
    tool_set_pb2,
    tool_table_entry_pb2,
    tool_type_pb2,
    user_pb2,
)
from smoothcore_server.api.messages import (
    change_set,
    geometry,
    machine,
    role,
    tool,
    tool_set,
    tool_table,
    tool_type,
    user,
)
from smoothcore_server.api.messages.values import EnumMap, length_message
from smoothcore_server.domain.change import READ_PERMISSION, ResourceType
from smoothcore_server.domain.errors import ErrorReason, SmoothCoreError
from smoothcore_server.domain.length import Length, LengthUnit
from smoothcore_server.domain.principal import PERMISSIONS
from tests.unit.test_contract_descriptors import comment_of


def enum_maps() -> dict[str, EnumMap[enum.Enum, int]]:
    """Every EnumMap of the api layer, by module and name."""
    found: dict[str, EnumMap[enum.Enum, int]] = {}
    package = smoothcore_server.api.messages
    for module in pkgutil.iter_modules(package.__path__):
        made = importlib.import_module(f"{package.__name__}.{module.name}")
        for name, value in vars(made).items():
            if isinstance(value, EnumMap):
                found[f"{module.name}.{name}"] = value
    return found


def our_enums() -> list[EnumDescriptor]:
    """All enums of the contract."""
    pool = descriptor_pool.Default()
    names = {module.name for module in pkgutil.iter_modules(smoothcore.v1.__path__)}
    found: list[EnumDescriptor] = []
    for name in sorted(names):
        if name.endswith("_pb2"):
            file = pool.FindFileByName(f"smoothcore/v1/{name.removesuffix('_pb2')}.proto")
            found += file.enum_types_by_name.values()
    return found


def test_reasons_of_errors_are_the_same_in_both() -> None:
    names = {
        value.name.removeprefix("ERROR_REASON_")
        for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values
        if value.number
    }
    assert names == {reason.name for reason in ErrorReason}
    assert all(reason.name == reason.value for reason in ErrorReason)


def test_every_kind_of_error_has_a_status_code_of_grpc() -> None:
    kinds: list[type[SmoothCoreError]] = [SmoothCoreError, *SmoothCoreError.__subclasses__()]
    assert len(kinds) > 10
    for kind in kinds:
        assert kind.code in grpc.StatusCode.__members__


def test_the_comment_of_a_reason_begins_with_the_code_it_is_sent_with() -> None:
    for reason in ErrorReason:
        comment = comment_of(f"smoothcore.v1.ErrorReason.ERROR_REASON_{reason.name}")
        found = re.match(r"([A-Z_]+): ", comment)
        assert found, reason
        assert found[1] in grpc.StatusCode.__members__


def test_every_enum_of_the_contract_is_mapped_and_completely() -> None:
    mapped = {frozenset(member.name for member in each._to_value) for each in enum_maps().values()}
    by_hand = {
        "ErrorReason",  # Compared above.
        "PushOutcome",  # Made of two facts: held or not, stored or not.
        "ToolTableFormat",  # A table of readers; the test below.
    }
    assert {each.name for each in our_enums() if members(each) not in mapped} == by_hand


def members(descriptor: EnumDescriptor) -> frozenset[str]:
    """The values of an enum without their prefix and without UNSPECIFIED."""
    prefix = descriptor.values[0].name.removesuffix("UNSPECIFIED")
    return frozenset(value.name.removeprefix(prefix) for value in descriptor.values[1:])


def test_every_table_format_of_the_contract_has_a_reader() -> None:
    known = {number for number in machine_service_pb2.ToolTableFormat.values() if number}
    assert set(tool_table._READERS) == known


def test_an_enum_map_goes_both_ways_and_knows_unspecified() -> None:
    for each in enum_maps().values():
        assert each.member(0) is None
        assert each.value(None) == 0
        for member, value in each._to_value.items():
            assert each.member(int(value)) is member


def settable(message: Descriptor) -> set[str]:
    """The fields that the contract lets callers set."""
    fixed = {field_behavior_pb2.OUTPUT_ONLY, field_behavior_pb2.IDENTIFIER}
    return {
        field.name
        for field in message.fields
        if not fixed & set(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])
    } - {"etag"}


def test_updates_may_set_what_the_contract_says_and_nothing_else() -> None:
    assert settable(machine_pb2.Machine.DESCRIPTOR) == set(machine.SETTABLE)
    assert settable(tool_pb2.Tool.DESCRIPTOR) == set(tool.SETTABLE)
    assert settable(tool_type_pb2.ToolType.DESCRIPTOR) == set(tool_type.SETTABLE)
    assert settable(tool_set_pb2.ToolSet.DESCRIPTOR) == set(tool_set.SETTABLE)
    assert settable(role_pb2.Role.DESCRIPTOR) == set(role.SETTABLE)
    assert settable(user_pb2.User.DESCRIPTOR) == set(user.SETTABLE)


def test_every_type_of_resource_has_a_read_permission_and_a_message() -> None:
    assert set(READ_PERMISSION) == set(ResourceType)
    assert set(READ_PERMISSION.values()) <= PERMISSIONS
    assert set(change_set._TYPE_URL) == set(ResourceType)
    for url in change_set._TYPE_URL.values():
        descriptor_pool.Default().FindMessageTypeByName(url.removeprefix("type.googleapis.com/"))


@pytest.mark.parametrize(
    ("message", "read"),
    [
        (tool_pb2.ToolGeometry, geometry.geometry_from),
        (tool_table_entry_pb2.Registers, tool_table.registers_from),
    ],
)
def test_each_size_and_register_is_read_from_its_own_field(message: Any, read: Any) -> None:
    stated = {
        field.name: Length.of(number, LengthUnit.INCH) if field.message_type else number
        for number, field in enumerate(message.DESCRIPTOR.fields, 1)
        if not field.is_repeated
    }
    for name, value in stated.items():
        is_length = isinstance(value, Length)
        found = read(message(**{name: length_message(value) if is_length else value}))
        assert {each: getattr(found, each) for each in stated} == dict.fromkeys(stated) | {
            name: value
        }
