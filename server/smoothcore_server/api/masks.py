"""Update masks (AIP-134)."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from smoothcore_server.domain.errors import invalid_field


def mask_paths(mask: FieldMask, resource: Message, settable: Sequence[str]) -> list[str]:
    """The paths that an update changes: of the fields a caller may set, those that the mask
    names; all for ``*``; those that are set in the request when there is no mask.

    Raises InvalidArgumentError for a path that is none of them.
    """
    if list(mask.paths) == ["*"]:
        return list(settable)
    if not mask.paths:
        stated = {field.name for field, _ in resource.ListFields()}
        return [path for path in settable if path in stated]
    for path in mask.paths:
        if path.partition(".")[0] not in settable or not _exists(resource, path):
            raise invalid_field(
                "update_mask", f"{path!r} cannot be set; these can: {', '.join(settable)}"
            )
    return list(mask.paths)


def _exists(resource: Message, path: str) -> bool:
    """Whether a path leads to a field; at most one level down, as far as values nest."""
    first, _, rest = path.partition(".")
    field = resource.DESCRIPTOR.fields_by_name.get(first)
    if field is None:
        return False
    if not rest:
        return True
    nested = field.message_type
    # A length is one value: its number without its unit cannot be replaced.
    if nested is None or nested.name in ("Length", "Duration"):
        return False
    return rest in nested.fields_by_name and rest != "confirmed"
