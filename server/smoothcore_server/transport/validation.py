"""Validators of request messages, compiled from their descriptors and the table in `rules`.

A validator is a list of small steps, one per field that can be wrong, so that a small request
costs a few microseconds. Everything that is wrong is collected, and told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from smoothcore_server.domain.errors import ErrorReason, FieldViolation, InvalidArgumentError
from smoothcore_server.transport import value_checks
from smoothcore_server.transport.field_masks import (
    behaviors,
    is_fixed,
    is_map,
    mask_check,
    masked_fields,
)
from smoothcore_server.transport.resource_names import PACKAGE, pattern_of
from smoothcore_server.transport.rules import Rule, message_rule_of, rule_of
from smoothcore_server.transport.steps import (
    Step,
    Violations,
    length_step,
    map_step,
    oneof_step,
    pattern_for,
    present_step,
    scalar_step,
    value_check,
    well_known_step,
)

_SHOWN = 2
_LENGTH = "smoothcore.v1.Length"
_FIELD_MASK = "google.protobuf.FieldMask"

Find: TypeAlias = Callable[[Any], Violations]
"""Gives all that is wrong with a request."""


def raise_for(violations: Sequence[FieldViolation]) -> None:
    """Raise InvalidArgumentError with all violations, the first of them in the message."""
    if not violations:
        return
    shown = [f"{each.field}: {each.description}" for each in violations[:_SHOWN]]
    more = len(violations) - len(shown)
    message = "; ".join(shown) + (f" (and {more} more)" if more else "")
    raise InvalidArgumentError(ErrorReason.INVALID_FIELD, message, violations=violations)


class Validator:
    """Compiles and keeps the checks of messages."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, bool], _MessageCheck] = {}

    def covers(self, message: Descriptor) -> bool:
        """Whether this is a message of our contract."""
        return message.file.package == PACKAGE

    def compile(self, request: Descriptor) -> Find:
        """What finds the violations of a request."""
        check = self.check_of(request)

        def find(message: Any) -> Violations:
            found = Violations()
            check(message, found)
            return found

        return find

    def check_of(self, message: Descriptor, *, is_update: bool = False) -> _MessageCheck:
        """The check of a message; of a resource in an update, where the mask says what counts."""
        key = (message.full_name, is_update)
        check = self._compiled.get(key)
        if check is None:
            # Kept before it is filled, for messages that hold themselves.
            check = self._compiled[key] = _MessageCheck(message)
            check.steps.extend(_Compiler(self, message, is_update).steps())
        return check


class _MessageCheck:
    """All steps of one message type."""

    def __init__(self, message: Descriptor) -> None:
        self.steps: list[Step] = []
        self._cross = message_rule_of(message.full_name).cross

    def __call__(self, message: Any, found: Violations) -> None:
        before = len(found)
        for step in self.steps:
            step(message, found)
        if not self._cross or len(found) > before:
            return
        for rule in self._cross:
            for path, problem in rule(message):
                found.add(path, problem)


class _Compiler:
    """Makes the steps of one message type."""

    def __init__(self, validator: Validator, message: Descriptor, is_update: bool) -> None:
        self._validator = validator
        self._message = message
        self._is_update = is_update

    def steps(self) -> list[Step]:
        """One step for each field that can be wrong, and one for each required oneof."""
        oneofs = message_rule_of(self._message.full_name).oneofs
        found = [self._field(field) for field in self._message.fields]
        found += [oneof_step(self._message, name) for name in oneofs]
        if _update_parts(self._message):
            found.append(self._update_step())
        return [step for step in found if step]

    def _field(self, field: FieldDescriptor) -> Step | None:
        if is_fixed(field):
            return self._identifier(field)
        if _update_parts(self._message) and field.name in _update_parts(self._message):
            return None  # Looked at together, in one step.
        if is_map(field):
            return map_step(field)
        if field.is_repeated:
            return self._repeated(field)
        if field.message_type:
            return self._submessage(field)
        return self._scalar(field)

    def _identifier(self, field: FieldDescriptor) -> Step | None:
        """The name of a resource counts in an update; elsewhere the server makes it."""
        if not self._is_update or field_behavior_pb2.IDENTIFIER not in behaviors(field):
            return None
        pattern = pattern_of(self._message)
        return scalar_step(field, value_checks.string_check(Rule(), pattern), pattern, True)

    def _is_required(self, field: FieldDescriptor) -> bool:
        return field_behavior_pb2.REQUIRED in behaviors(field) and not self._is_update

    def _scalar(self, field: FieldDescriptor) -> Step | None:
        required = self._is_required(field)
        pattern = pattern_for(field)
        check = value_check(field, pattern, refuse_zero=False)
        if field.has_presence:
            return present_step(field, check, required) if check or required else None
        return scalar_step(field, check, pattern, required) if check or required else None

    def _submessage(self, field: FieldDescriptor) -> Step:
        name, required = field.name, self._is_required(field)
        if _is_message(field, _LENGTH):
            return length_step(name, rule_of(field.full_name), required)
        check = self._inner(field)

        def step(message: Any, found: Violations) -> None:
            if message.HasField(name):
                before = len(found)
                check(getattr(message, name), found)
                if len(found) > before:
                    found.move_below(name, before)
            elif required:
                found.add(name, "required")

        return step

    def _repeated(self, field: FieldDescriptor) -> Step:
        name, required = field.name, self._is_required(field)
        longest = rule_of(field.full_name).max_items
        check = self._element(field)

        def step(message: Any, found: Violations) -> None:
            values = getattr(message, name)
            count = len(values)
            if required and not count:
                found.add(name, "required: at least one")
            elif count > longest:
                found.add(name, f"{count:,} elements, and at most {longest:,} fit")
            elif check:
                before = len(found)
                for index, value in enumerate(values):
                    check(value, found)
                    if len(found) > before:
                        found.move_below(f"{name}[{index}]", before)
                        before = len(found)
                        if found.is_full:
                            return

        return step

    def _element(self, field: FieldDescriptor) -> Step | None:
        if field.message_type:
            return self._inner(field)
        check = value_check(field, pattern_for(field), refuse_zero=True)
        if check is None:
            return None

        def step(value: Any, found: Violations) -> None:
            problem = "must not be empty" if value == "" else check(value)
            if problem:
                found.add("", problem)

        return step

    def _inner(self, field: FieldDescriptor) -> Step:
        """The check of a message in a field."""
        kind = field.message_type
        assert kind is not None
        if kind.full_name.startswith("google.protobuf."):
            return well_known_step(kind, rule_of(field.full_name))
        return self._validator.check_of(kind)

    def _update_step(self) -> Step:
        """The resource and the mask of an update: what is required is what the mask names."""
        name, mask_name = _update_parts(self._message)
        resource = self._message.fields_by_name[name].message_type
        assert resource is not None
        check = self._validator.check_of(resource, is_update=True)
        check_mask = mask_check(resource)
        required = _required_fields(resource)

        def step(message: Any, found: Violations) -> None:
            if not message.HasField(name):
                found.add(name, "required")
                return
            mask = getattr(message, mask_name)
            problem = check_mask(mask)
            if problem:
                found.add(mask_name, problem)
            before = len(found)
            inner = getattr(message, name)
            check(inner, found)
            masked = masked_fields(mask)
            for field, text in required.items():
                if (masked is None or field in masked) and not _is_set(inner, field):
                    found.add(field, text)
            found.move_below(name, before)

        return step


def _update_parts(message: Descriptor) -> tuple[str, ...]:
    """The names of the resource and the mask of an update request; empty for other messages."""
    masks = [each.name for each in message.fields if _is_message(each, _FIELD_MASK)]
    resources = [
        field.name
        for field in message.fields
        if field.message_type and not field.is_repeated and pattern_of(field.message_type)
    ]
    return (resources[0], masks[0]) if masks and resources else ()


def _is_message(field: FieldDescriptor, full_name: str) -> bool:
    return field.message_type is not None and field.message_type.full_name == full_name


def _required_fields(resource: Descriptor) -> dict[str, str]:
    """Required fields of a resource, and what to say when one is absent."""
    return {
        field.name: value_checks.required_text(field, pattern_for(field))
        for field in resource.fields
        if field_behavior_pb2.REQUIRED in behaviors(field)
    }


def _is_set(message: Any, name: str) -> bool:
    value = getattr(message, name)
    if hasattr(value, "DESCRIPTOR"):
        return bool(message.HasField(name))
    return bool(value.strip() if isinstance(value, str) else value)
