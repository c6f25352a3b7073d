"""What changed, field by field, from a resource before and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from smoothcore.v1.length_pb2 import Length
from smoothcore.v1.readiness_pb2 import Readiness, ReadinessState
from smoothcore.v1.verification_report_pb2 import VerdictCode
from smoothcore_client._enums import enum_value_word, enum_word
from smoothcore_client.cli import wording

# What changes with every change, and says nothing to a person.
_BOOKKEEPING = {
    "name",
    "uid",
    "etag",
    "revision",
    "create_time",
    "update_time",
    "read_time",
    "reporter",
}
_LONGEST = 120


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of a resource; an empty text is an absent value."""

    path: str
    """Where it stands, e.g. ``registers.diameter_geometry``."""
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path} {self.before or '(none)'} -> {self.after or '(none)'}"


def unpack(packed: AnyMessage) -> Message | None:
    """The message in an Any; None for an absent one, or a type that this client does not know."""
    if not packed.type_url:
        return None
    try:
        kind = descriptor_pool.Default().FindMessageTypeByName(packed.TypeName())
    except KeyError:
        return None
    message = message_factory.GetMessageClass(kind)()
    packed.Unpack(message)
    return message


def field_changes(before: Message | None, after: Message | None) -> list[FieldChange]:
    """The fields that differ, in the order of the contract."""
    old, new = flatten(before), flatten(after)
    paths = [*new, *(path for path in old if path not in new)]
    return [
        FieldChange(path, old.get(path, ""), new.get(path, ""))
        for path in paths
        if old.get(path) != new.get(path)
    ]


def flatten(message: Message | None) -> dict[str, str]:
    """All fields of a resource in words, by path; without what is only bookkeeping."""
    if message is None:
        return {}
    if isinstance(message, Readiness):
        return _flatten_readiness(message)
    return {path: text for path, text in _walk(message, "") if path not in _BOOKKEEPING}


def _flatten_readiness(readiness: Readiness) -> dict[str, str]:
    """The verdicts of a readiness; its evidence is for `smooth why`."""
    state = wording.loud(enum_word(ReadinessState, readiness.state)).replace("_", " ")
    fields = {"state": state, "program": readiness.program_display_name}
    for verdict in readiness.report.verdicts:
        fields[f"T{verdict.tool_number}"] = wording.loud(enum_word(VerdictCode, verdict.code))
    return fields


def _walk(message: Message, prefix: str) -> Iterator[tuple[str, str]]:
    for field, value in message.ListFields():
        path = prefix + field.name
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            yield from ((f"{path}.{key}", str(value[key])) for key in sorted(value))
        elif not field.is_repeated:
            yield from _one(field, value, path)
        elif field.message_type is None:
            yield path, ", ".join(_scalar(field, item) for item in value)
        else:
            for index, item in enumerate(value):
                yield from _one(field, item, f"{path}[{index}]")


def _one(field: FieldDescriptor, value: Any, path: str) -> Iterator[tuple[str, str]]:
    match value:
        case Length():
            yield path, wording.length(value)
        case Timestamp():
            yield path, wording.moment(value)
        case Duration():
            yield path, wording.span(value)
        case Message():
            yield from _walk(value, f"{path}.")
        case _:
            yield path, _scalar(field, value)


def _scalar(field: FieldDescriptor, value: Any) -> str:
    if field.enum_type is not None:
        return enum_value_word(field.enum_type, value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, bytes):
        return value.hex()[:16]
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
