"""The contract, read as somebody would who has only its descriptors."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.api import annotations_pb2, field_behavior_pb2, resource_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from grpc_tools import protoc  # type: ignore[import-untyped]

from smoothcore.v1 import access_pb2, change_set_pb2
from smoothcore_server.domain.principal import PERMISSIONS
from tests.support.requests import all_methods, methods, operator_methods

PACKAGE = "smoothcore.v1"
PROTOS = Path(__file__).resolve().parents[2] / "protos"
RESOURCE_FIELDS = ("name", "uid", "etag", "revision", "create_time", "update_time")
UNSIGNED = {
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_FIXED32,
    FieldDescriptor.TYPE_FIXED64,
}
VERBS_THAT_READ = ("Export", "Get", "BatchGet", "List", "Watch", "Verify", "WhoAmI")


@cache
def files() -> tuple[descriptor_pb2.FileDescriptorProto, ...]:
    """Our files, with their comments."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "contract.binpb"
        failed = protoc.main(
            [
                "protoc",
                f"-I{PROTOS}",
                f"-I{Path(protoc.__file__).parent / '_proto'}",
                "--include_source_info",
                f"--descriptor_set_out={out}",
                *(str(path.relative_to(PROTOS)) for path in PROTOS.glob("smoothcore/v1/*.proto")),
            ]
        )
        assert not failed
        made = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    assert made.file
    return tuple(made.file)


@dataclass(frozen=True)
class Element:
    """Something that needs a comment."""

    name: str
    comment: str


@dataclass(frozen=True)
class Comments:
    """The comments of one file, by the paths of its source info."""

    package: str
    by_path: dict[tuple[int, ...], str]

    def of_file(self, file: descriptor_pb2.FileDescriptorProto) -> Iterator[Element]:
        yield Element(file.name, self.by_path.get((12,), ""))  # Above the syntax line.
        for index, message in enumerate(file.message_type):
            yield from self.of_message(message, "", (4, index))
        for index, enum in enumerate(file.enum_type):
            yield from self.of_enum(enum, "", (5, index))
        for index, service in enumerate(file.service):
            yield self.named(service.name, (6, index))
            for number, method in enumerate(service.method):
                yield self.named(f"{service.name}.{method.name}", (6, index, 2, number))
        for index, extension in enumerate(file.extension):
            yield self.named(extension.name, (7, index))

    def of_message(
        self, message: descriptor_pb2.DescriptorProto, prefix: str, path: tuple[int, ...]
    ) -> Iterator[Element]:
        yield self.named(prefix + message.name, path)
        inner = f"{prefix}{message.name}."
        for index, field in enumerate(message.field):
            yield self.named(inner + field.name, (*path, 2, index))
        for index, nested in enumerate(message.nested_type):
            if nested.options.map_entry:  # The compiler makes it of a map.
                continue
            yield from self.of_message(nested, inner, (*path, 3, index))
        for index, enum in enumerate(message.enum_type):
            yield from self.of_enum(enum, inner, (*path, 4, index))
        for index, oneof in enumerate(message.oneof_decl):
            if not oneof.name.startswith("_"):  # Such a one is made by `optional`.
                yield self.named(inner + oneof.name, (*path, 8, index))

    def of_enum(
        self, enum: descriptor_pb2.EnumDescriptorProto, prefix: str, path: tuple[int, ...]
    ) -> Iterator[Element]:
        yield self.named(prefix + enum.name, path)
        for index, value in enumerate(enum.value):
            yield self.named(f"{prefix}{enum.name}.{value.name}", (*path, 2, index))

    def named(self, name: str, path: tuple[int, ...]) -> Element:
        return Element(f"{self.package}.{name}", self.by_path.get(path, ""))


@cache
def elements() -> tuple[Element, ...]:
    """Every service, method, message, field, enum and enum value, and the comment of each."""
    found: list[Element] = []
    for file in files():
        locations = file.source_code_info.location
        by_path = {tuple(each.path): each.leading_comments.strip() for each in locations}
        found += Comments(file.package, by_path).of_file(file)
    return tuple(found)


def comment_of(name: str) -> str:
    """The comment of an element."""
    return next(each.comment for each in elements() if each.name == name)


def pooled(message: str) -> Descriptor:
    return descriptor_pool.Default().FindMessageTypeByName(message)


def messages() -> Iterator[Descriptor]:
    """All messages of the contract."""
    for file in files():
        for message in file.message_type:
            yield from _with_nested(pooled(f"{file.package}.{message.name}"))


def _with_nested(message: Descriptor) -> Iterator[Descriptor]:
    yield message
    for nested in message.nested_types:
        yield from _with_nested(nested)


def resources() -> list[Descriptor]:
    """The messages that are resources."""
    return [each for each in messages() if each.GetOptions().HasExtension(resource_pb2.resource)]


def in_requests() -> set[Descriptor]:
    """The messages of this package that are requests or stand in one."""
    found: set[Descriptor] = set()
    waiting = [method.input_type for method in all_methods().values()]
    while waiting:
        message = waiting.pop()
        if message in found or message.file.package != PACKAGE:
            continue
        if message.GetOptions().map_entry:
            continue
        found.add(message)
        waiting += [field.message_type for field in message.fields if field.message_type]
    return found


def behaviors(field: FieldDescriptor) -> set[int]:
    return set(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])


def modes(method: MethodDescriptor) -> list[str]:
    """The ways in which a method says who may call it."""
    access = method.GetOptions().Extensions[access_pb2.access]
    ways = ("permission", "public", "per_type", "any_credential", "operator")
    return [way for way in ways if getattr(access, way)]


def is_list(method: MethodDescriptor) -> bool:
    return method.name.startswith("List") and not method.server_streaming


def writes(method: MethodDescriptor) -> bool:
    return not method.name.startswith(VERBS_THAT_READ) and not method.client_streaming


def enums() -> Iterator[tuple[str, descriptor_pb2.EnumDescriptorProto]]:
    for file in files():
        for enum in file.enum_type:
            yield enum.name, enum
        for message in file.message_type:
            for enum in message.enum_type:
                yield enum.name, enum


# Comments


def test_everything_in_the_contract_has_a_comment() -> None:
    assert len(elements()) > 500
    assert [each.name for each in elements() if len(each.comment) < 4] == []


def test_comments_are_sentences() -> None:
    """They end with a full stop, as `describe` shows them to people."""
    unended = [each.name for each in elements() if not re.search(r"[.?)]$", each.comment)]
    assert unended == []


def test_methods_say_what_they_return_when_they_name_a_resource() -> None:
    silent = [
        name
        for name, method in all_methods().items()
        if "NOT_FOUND" not in comment_of(f"{PACKAGE}.{name}")
        and any(field.name in ("name", "parent") for field in method.input_type.fields)
        and modes(method) != ["per_type"]
    ]
    assert silent == []


def test_services_say_which_codes_all_their_methods_return() -> None:
    for service in {method.containing_service.name for method in methods().values()}:
        comment = comment_of(f"{PACKAGE}.{service}")
        for code in ("INVALID_ARGUMENT", "UNAUTHENTICATED", "PERMISSION_DENIED", "UNAVAILABLE"):
            assert code in comment, service


# Requests


def test_every_field_of_a_request_says_how_it_behaves() -> None:
    silent = [
        field.full_name
        for message in in_requests()
        for field in message.fields
        if not behaviors(field)
    ]
    assert sorted(silent) == []


def test_a_field_is_not_required_and_optional_at_once() -> None:
    exclusive = {
        field_behavior_pb2.REQUIRED,
        field_behavior_pb2.OPTIONAL,
        field_behavior_pb2.OUTPUT_ONLY,
        field_behavior_pb2.IDENTIFIER,
    }
    for message in messages():
        for field in message.fields:
            assert len(behaviors(field) & exclusive) <= 1, field.full_name


def test_names_in_requests_say_what_they_refer_to() -> None:
    silent = [
        field.full_name
        for method in all_methods().values()
        for field in method.input_type.fields
        if field.name in ("name", "parent")
        and not field.GetOptions().Extensions[resource_pb2.resource_reference].type
    ]
    assert silent == []


def test_references_name_resources_that_exist() -> None:
    types = {each.GetOptions().Extensions[resource_pb2.resource].type for each in resources()}
    assert types
    for message in messages():
        for field in message.fields:
            reference = field.GetOptions().Extensions[resource_pb2.resource_reference].type
            assert not reference or reference in types | {"*"}, field.full_name


# Methods


@pytest.mark.parametrize("name", sorted(all_methods()))
def test_a_method_declares_one_way_to_say_who_may_call_it(name: str) -> None:
    assert len(modes(all_methods()[name])) == 1


def test_the_operator_has_a_service_of_its_own_which_no_http_edge_reaches() -> None:
    services = {method.containing_service for method in operator_methods().values()}
    assert [service.name for service in services] == ["InstanceService"]
    for service in services:
        assert len(service.methods) == len(operator_methods())
    for method in operator_methods().values():
        assert not method.GetOptions().HasExtension(annotations_pb2.http), method.full_name


def test_permissions_in_the_contract_are_those_of_the_domain() -> None:
    named = {
        method.GetOptions().Extensions[access_pb2.access].permission
        for method in methods().values()
    } - {""}
    assert named == PERMISSIONS


def test_a_method_that_names_a_machine_declares_its_machine_field() -> None:
    """A key that is bound to machines is held to them by that field."""
    silent = []
    for name, method in methods().items():
        access = method.GetOptions().Extensions[access_pb2.access]
        for field in method.input_type.fields:
            kind = field.GetOptions().Extensions[resource_pb2.resource_reference].type
            owner = [each for each in resources() if _type(each) == kind]
            of_machine = owner and _pattern(owner[0]).startswith("machines/")
            if of_machine and access.permission and not access.machine_field:
                silent.append(name)
    assert silent == []


def _type(resource: Descriptor) -> str:
    return str(resource.GetOptions().Extensions[resource_pb2.resource].type)


def _pattern(resource: Descriptor) -> str:
    return str(resource.GetOptions().Extensions[resource_pb2.resource].pattern[0])


@pytest.mark.parametrize(
    "name", sorted(name for name, each in methods().items() if not each.client_streaming)
)
def test_unary_and_server_streaming_methods_have_an_http_rule(name: str) -> None:
    rule = methods()[name].GetOptions().Extensions[annotations_pb2.http]
    path = getattr(rule, rule.WhichOneof("pattern") or "", "")
    assert path.startswith("/v1/")
    for variable in re.findall(r"{([a-z_.]+)=", path):
        message: Any = methods()[name].input_type
        for part in variable.split("."):
            field = message.fields_by_name[part]
            message = field.message_type
        assert field.type == FieldDescriptor.TYPE_STRING


def test_http_rules_do_not_collide() -> None:
    seen: dict[tuple[str, str], str] = {}
    for name, method in methods().items():
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        verb = rule.WhichOneof("pattern")
        if verb is None:
            continue
        path = re.sub(r"{[^=}]+=", "{", getattr(rule, verb))
        assert (verb, path) not in seen, f"{name} and {seen[verb, path]}"
        seen[verb, path] = name


def test_messages_of_methods_are_named_after_them() -> None:
    for name, method in all_methods().items():
        assert method.input_type.name == f"{method.name}Request", name
        answers = {f"{method.name}Response", *(each.name for each in resources())}
        answers.add("MachineStatus")  # What is volatile is no resource, and has its own Get.
        assert method.output_type.name in answers, name


def test_lists_have_pages_and_a_position_to_watch_from() -> None:
    lists = [method for method in methods().values() if is_list(method)]
    assert len(lists) >= 8
    for method in lists:
        asked, answered = method.input_type.fields_by_name, method.output_type.fields_by_name
        assert asked["page_size"].type == FieldDescriptor.TYPE_INT32
        assert asked["page_token"].type == FieldDescriptor.TYPE_STRING
        assert "next_page_token" in answered, method.full_name
        # Security events and sessions are in no change log, so there is nothing to watch.
        in_log = method.name not in ("ListSecurityEvents", "ListSessions")
        assert ("resume_token" in answered) == in_log, method.full_name
        first = answered[method.output_type.fields[0].name]
        assert first.number == 1, method.full_name
        assert first.is_repeated, method.full_name


def test_writes_can_be_repeated_with_a_request_id() -> None:
    written = [method for method in methods().values() if writes(method)]
    assert len(written) >= 15
    for method in written:
        if method.full_name == "smoothcore.v1.AuthService.Logout":
            continue  # Repeated, it finds that the session is over, which is what was wanted.
        field = method.input_type.fields_by_name["request_id"]
        assert behaviors(field) == {field_behavior_pb2.OPTIONAL}, method.full_name


def test_replies_of_writes_carry_the_revision() -> None:
    for method in methods().values():
        if method.containing_service.name == "AuthService":
            continue  # Sessions are in no change set.
        if writes(method):
            names = set(method.output_type.fields_by_name)
            resource = {each.message_type for each in method.output_type.fields} & set(resources())
            assert "revision" in names or resource, method.full_name


def test_updates_take_a_mask_and_an_etag() -> None:
    for method in all_methods().values():
        if method.name.startswith("Update"):
            fields = method.input_type.fields_by_name
            mask, resource = fields["update_mask"].message_type, method.input_type.fields[0]
            assert mask is not None
            assert mask.full_name == "google.protobuf.FieldMask"
            assert resource.message_type is not None
            assert "etag" in resource.message_type.fields_by_name


# Names and types


def test_fields_are_in_snake_case_and_not_unsigned() -> None:
    for message in messages():
        for field in message.fields:
            assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", field.name), field.full_name
            assert field.type not in UNSIGNED, field.full_name
            assert field.type != FieldDescriptor.TYPE_FLOAT, field.full_name


def test_numbers_of_a_quantity_have_its_unit_in_their_name() -> None:
    units = ("_mm", "_deg", "_rpm", "_per_min", "_minutes", "_bytes", "_count")
    for message in messages():
        for field in message.fields:
            if field.type == FieldDescriptor.TYPE_DOUBLE and field.full_name not in (
                "smoothcore.v1.Length.mm",
                "smoothcore.v1.Length.value",
            ):
                assert field.name.endswith(units), field.full_name


def test_enum_values_are_upper_snake_with_the_name_of_their_enum_and_zero_is_unspecified() -> None:
    for name, enum in enums():
        prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()
        assert enum.value[0].name == f"{prefix}_UNSPECIFIED"
        numbers = [value.number for value in enum.value]
        assert numbers == sorted(set(numbers))
        for value in enum.value:
            assert re.fullmatch(rf"{prefix}(_[A-Z0-9]+)+", value.name), value.name


def test_times_and_spans_are_named_as_such() -> None:
    for message in messages():
        for field in message.fields:
            kind = field.message_type.full_name if field.message_type else ""
            if kind == "google.protobuf.Timestamp":
                known = field.name in ("time", "valid_until")
                assert known or field.name.endswith("_time"), field.full_name
            if field.name.endswith("_time"):
                assert kind == "google.protobuf.Timestamp", field.full_name


def test_every_resource_carries_identity_and_version() -> None:
    types = change_set_pb2.ResourceType.keys()
    # Organizations are the operator's, and UNSPECIFIED is no type.
    assert len(resources()) - 1 == len(types) - 1, "each is a type of the change log"
    for resource in resources():
        names = [field.name for field in sorted(resource.fields, key=lambda each: each.number)]
        assert tuple(names[: len(RESOURCE_FIELDS)]) == RESOURCE_FIELDS, resource.full_name
        fields = resource.fields_by_name
        assert behaviors(fields["name"]) == {field_behavior_pb2.IDENTIFIER}
        for name in ("uid", "revision", "create_time", "update_time"):
            assert behaviors(fields[name]) == {field_behavior_pb2.OUTPUT_ONLY}
        pattern = resource.GetOptions().Extensions[resource_pb2.resource].pattern
        assert len(pattern) == 1
        assert _type(resource) == f"smoothcore.v1/{resource.name}"


# Files


def test_files_are_proto3_of_one_package_with_options_for_other_languages() -> None:
    for file in files():
        assert (file.package, file.syntax) == (PACKAGE, "proto3")
        options = file.options
        assert options.csharp_namespace == "SmoothCore.V1", file.name
        assert options.go_package == "smoothcore.dev/api/smoothcore/v1;smoothcorev1", file.name
        assert options.java_package == "dev.smoothcore.v1", file.name
        assert options.java_multiple_files, file.name


def test_each_service_has_a_file_of_its_own() -> None:
    for file in files():
        assert len(file.service) <= 1
        for service in file.service:
            stem = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", service.name).lower()
            assert file.name == f"smoothcore/v1/{stem}.proto"


def test_every_type_that_the_log_knows_is_a_resource_and_the_other_way_round() -> None:
    enum = descriptor_pool.Default().FindEnumTypeByName(f"{PACKAGE}.ResourceType")
    logged = {value.name.removeprefix("RESOURCE_TYPE_") for value in enum.values} - {"UNSPECIFIED"}
    named = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", each.name).upper() for each in resources()}
    # Organizations are the operator's, and no resource of one.
    assert logged == named - {"ORGANIZATION"}
