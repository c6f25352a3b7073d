"""The small steps that validators are made of: one looks at one field, or at one oneof."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from google.api import resource_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from smoothcore_server.domain.errors import FieldViolation
from smoothcore_server.transport import value_checks
from smoothcore_server.transport.lengths import length_problem
from smoothcore_server.transport.resource_names import ResourcePattern, patterns
from smoothcore_server.transport.rules import Rule, rule_of
from smoothcore_server.transport.value_checks import ValueCheck

MAX_VIOLATIONS = 50


class Violations(list[FieldViolation]):
    """What is wrong with a request, up to `MAX_VIOLATIONS`."""

    def add(self, path: str, description: str) -> None:
        """Note one field, if there is room."""
        if not self.is_full:
            self.append(FieldViolation(path, description))

    def move_below(self, path: str, start: int) -> None:
        """Have those from ``start`` on be of what is in the field of this path. Paths are made only
        of what is wrong: most requests have nothing, and some have thousands of fields."""
        for index in range(start, len(self)):
            each = self[index]
            below = f"{path}.{each.field}" if each.field else path
            self[index] = FieldViolation(below, each.description)

    @property
    def is_full(self) -> bool:
        """Whether there is no point in looking further."""
        return len(self) >= MAX_VIOLATIONS


Step: TypeAlias = Callable[[Any, Violations], None]
"""Looks at one field of a message, or at a value; paths are as seen from there."""


ANY_TYPE = "*"
"""What AIP-122 writes for a reference to resources of any type."""


def pattern_for(field: FieldDescriptor) -> ResourcePattern | None:
    """The form of the resource names that a field holds; None where there are several, or none."""
    option = field.GetOptions().Extensions[resource_pb2.resource_reference]
    kind = option.type or rule_of(field.full_name).reference
    return patterns()[kind] if kind and kind != ANY_TYPE else None


def value_check(
    field: FieldDescriptor, pattern: ResourcePattern | None, *, refuse_zero: bool
) -> ValueCheck | None:
    """The check of one value of a scalar field; None when every value will do."""
    rule = rule_of(field.full_name)
    if field.enum_type:
        return value_checks.enum_check(field.enum_type, refuse_zero=refuse_zero)
    if field.type == FieldDescriptor.TYPE_STRING:
        return value_checks.string_check(rule, pattern)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return value_checks.bytes_check(rule)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return None
    return value_checks.number_check(field, rule)


def scalar_step(
    field: FieldDescriptor,
    check: ValueCheck | None,
    pattern: ResourcePattern | None,
    required: bool,
) -> Step:
    """For a field whose zero value means absent."""
    name = field.name
    text = value_checks.required_text(field, pattern)
    is_text = field.type == FieldDescriptor.TYPE_STRING

    def step(message: Any, found: Violations) -> None:
        value = getattr(message, name)
        if not value or (is_text and required and value.isspace()):
            if required:
                found.add(name, text)
            return
        problem = check(value) if check else None
        if problem:
            found.add(name, problem)

    return step


def present_step(field: FieldDescriptor, check: ValueCheck | None, required: bool) -> Step:
    """For an optional field, or a member of a oneof: a zero value that is there counts."""
    name = field.name

    def step(message: Any, found: Violations) -> None:
        if not message.HasField(name):
            if required:
                found.add(name, "required")
            return
        problem = check(getattr(message, name)) if check else None
        if problem:
            found.add(name, problem)

    return step


def length_step(name: str, rule: Rule, required: bool) -> Step:
    """For a length. In one step, since the rows of a table are little else."""

    def step(message: Any, found: Violations) -> None:
        if message.HasField(name):
            problem = length_problem(getattr(message, name), rule)
            if problem:
                found.add(f"{name}.{problem[0]}", problem[1])
        elif required:
            found.add(name, "required")

    return step


def well_known_step(kind: Descriptor, rule: Rule) -> Step:
    """For a time or a span."""
    check: ValueCheck
    if kind.name == "Timestamp":
        check = value_checks.timestamp_problem
    elif kind.name == "Duration":
        check = value_checks.duration_check(rule)
    else:
        raise TypeError(f"there is no check for {kind.full_name} yet")

    def step(message: Any, found: Violations) -> None:
        problem = check(message)
        if problem:
            found.add("", problem)

    return step


def map_step(field: FieldDescriptor) -> Step:
    """For a map of texts to texts."""
    name, rule, entry = field.name, rule_of(field.full_name), field.message_type
    kinds = {each.type for each in entry.fields} if entry else set()
    if kinds != {FieldDescriptor.TYPE_STRING} or not rule.key_pattern:
        raise TypeError(
            f"{field.full_name}: a map of texts is checked by a rule with a key_pattern"
        )
    is_key = re.compile(rule.key_pattern, re.ASCII).fullmatch
    check = value_checks.string_check(rule, None)

    def step(message: Any, found: Violations) -> None:
        entries = getattr(message, name)
        if not entries:
            return
        if len(entries) > rule.max_items:
            found.add(name, f"{len(entries):,} keys, and at most {rule.max_items:,} fit")
            return
        for key in sorted(entries):
            if not is_key(key):
                shown = value_checks.show(key)
                found.add(name, f"{shown} is no key: it must be {rule.key_words}")
            elif problem := check(entries[key]) if entries[key].strip() else "must not be empty":
                found.add(f"{name}.{key}", problem)

    return step


def oneof_step(message: Descriptor, name: str) -> Step:
    """For a oneof of which one member is required."""
    members = " or ".join(field.name for field in message.oneofs_by_name[name].fields)

    def step(request: Any, found: Violations) -> None:
        if request.WhichOneof(name) is None:
            found.add(name, f"required: set {members}")

    return step
