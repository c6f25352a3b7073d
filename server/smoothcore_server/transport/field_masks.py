"""Update masks: which paths of a resource a caller may set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from smoothcore_server.transport.value_checks import show

MaskCheck: TypeAlias = Callable[[Any], str | None]

_MAX_PATHS = 100
# Set as a whole: half of a length or of a time means nothing.
_WHOLE = frozenset({"smoothcore.v1.Length"})


def mask_check(resource: Descriptor) -> MaskCheck:
    """The check of a FieldMask over a resource; None for a mask that may be applied."""
    settable, fixed = _paths(resource, "")
    maps = {field.name for field in resource.fields if is_map(field)}

    def names_key(path: str) -> bool:
        field, _, key = path.partition(".")
        return field in maps and bool(key)

    def check(mask: Any) -> str | None:
        if len(mask.paths) > _MAX_PATHS:
            return f"{len(mask.paths)} paths, and at most {_MAX_PATHS} fit"
        for path in mask.paths:
            if path == "*":
                if len(mask.paths) > 1:
                    return '"*" stands for all fields; leave the other paths out'
            elif path in fixed:
                return f"{show(path)} is not for callers to set; leave it out"
            elif path not in settable and not names_key(path):
                return f"{show(path)} is no field of {resource.name}"
        return None

    return check


def masked_fields(mask: Any) -> frozenset[str] | None:
    """The top fields that must be there because a mask names them; None for all.

    Without a mask only what is set is changed (AIP-134), so nothing must be.
    """
    if "*" in mask.paths:
        return None
    return frozenset(path.partition(".")[0] for path in mask.paths)


def behaviors(field: FieldDescriptor) -> frozenset[int]:
    """The `google.api.field_behavior` of a field."""
    return frozenset(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])


def is_fixed(field: FieldDescriptor) -> bool:
    """Whether a field is the server's; what requests say of it is ignored (AIP-203)."""
    fixed = {field_behavior_pb2.OUTPUT_ONLY, field_behavior_pb2.IDENTIFIER}
    return bool(fixed & behaviors(field))


def is_map(field: FieldDescriptor) -> bool:
    """Whether a field is a map, whose keys a mask may name one by one (AIP-161)."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _paths(message: Descriptor, prefix: str) -> tuple[set[str], set[str]]:
    settable: set[str] = set()
    fixed: set[str] = set()
    for field in message.fields:
        path = prefix + field.name
        # An etag is compared, not set.
        if is_fixed(field) or (not prefix and field.name == "etag"):
            fixed.add(path)
            continue
        settable.add(path)
        inner = field.message_type
        if inner and not field.is_repeated and _is_open(inner):
            below = _paths(inner, path + ".")
            settable |= below[0]
            fixed |= below[1]
    return settable, fixed


def _is_open(message: Descriptor) -> bool:
    return message.full_name not in _WHOLE and not message.full_name.startswith("google.protobuf.")
