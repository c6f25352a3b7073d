"""Which fields of a resource a change has changed, told from its two images."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from smoothcore.v1.length_pb2 import Length

BOOKKEEPING = frozenset({"etag", "revision", "update_time"})
"""What every change changes."""


def changed_fields(resource: Descriptor, before: bytes, after: bytes) -> list[str]:
    """Paths of the fields that differ, in the order of their names; of a nested message those of
    its own fields."""
    message = message_factory.GetMessageClass(resource)
    return sorted(_paths(message.FromString(before), message.FromString(after)))


def _paths(before: Message, after: Message) -> Iterator[str]:
    for field in _fields(before.DESCRIPTOR):
        if not _differs(field, before, after):
            continue
        name = field.name
        one, other = getattr(before, name), getattr(after, name)
        if _is_nested(field) and before.HasField(name) and after.HasField(name):
            for inner in _fields(one.DESCRIPTOR):
                if _differs(inner, one, other):
                    yield f"{name}.{inner.name}"
        else:
            yield name


def _differs(field: FieldDescriptor, before: Message, after: Message) -> bool:
    name = field.name
    if getattr(before, name) != getattr(after, name):
        return True
    # Zero and absent are different facts.
    return field.has_presence and before.HasField(name) != after.HasField(name)


@cache
def _fields(resource: Descriptor) -> tuple[FieldDescriptor, ...]:
    return tuple(field for field in resource.fields if field.name not in BOOKKEEPING)


@cache
def _is_nested(field: FieldDescriptor) -> bool:
    """Whether a field is taken apart: a length is one value, and so is a time or a list."""
    inner = field.message_type
    return (
        inner is not None
        and not field.is_repeated
        and inner is not Length.DESCRIPTOR
        and inner.file.package == Length.DESCRIPTOR.file.package
    )
