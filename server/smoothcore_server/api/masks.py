"""Update masks (AIP-134)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from smoothcore_server.domain.errors import invalid_field


def mask_paths(mask: FieldMask, resource: Message, settable: Sequence[str]) -> list[str]:
    """The paths that an update changes: of the fields a caller may set, those that the mask
    names; all for ``*``; those that are set in the request when there is no mask, so that sizes
    that an update does not mention stay as they are.

    Raises InvalidArgumentError for a path that is none of them.
    """
    if list(mask.paths) == ["*"]:
        return list(settable)
    if not mask.paths:
        return [path for path in _stated(resource) if path.partition(".")[0] in settable]
    for path in mask.paths:
        if path.partition(".")[0] not in settable or not _exists(resource, path):
            raise invalid_field(
                "update_mask", f"{path!r} cannot be set; these can: {', '.join(settable)}"
            )
    return list(mask.paths)


def _stated(message: Message) -> list[str]:
    """The paths of the fields that are set, down to the values."""
    found = []
    for field, value in message.ListFields():
        nested = field.message_type
        if _is_map(field):
            found += [f"{field.name}.{key}" for key in value]
        elif nested is not None and not field.is_repeated and _is_open(nested.name):
            found += [f"{field.name}.{path}" for path in _stated(value)]
        else:
            found.append(field.name)
    return found


def _exists(resource: Message, path: str) -> bool:
    """Whether a path leads to a field; at most one level down, as far as values nest."""
    first, _, rest = path.partition(".")
    field = resource.DESCRIPTOR.fields_by_name.get(first)
    if field is None:
        return False
    if not rest or _is_map(field):
        return True
    nested = field.message_type
    if nested is None or field.is_repeated or not _is_open(nested.name):
        return False
    return rest in nested.fields_by_name and rest != "confirmed"


def _is_map(field: Any) -> bool:
    entry = field.message_type
    return entry is not None and bool(entry.GetOptions().map_entry)


def _is_open(message: str) -> bool:
    """Whether parts of a message can be set: a length is one value, and its number without its
    unit cannot be replaced."""
    return message not in ("Length", "Duration", "Timestamp")
