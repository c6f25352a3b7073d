"""Messages as bytes: put together from serialized parts, without parsing and serializing them.

The layers around a handler pass bytes through (`transport.handlers`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar, cast

from google.protobuf.message import Message

M = TypeVar("M", bound=Message)
_LENGTH_DELIMITED = 2
"""The wire type of messages: https://protobuf.dev/programming-guides/encoding/#structure."""


def as_message(raw: bytes, _message: type[M]) -> M:
    """Have bytes go out as a handler's reply of this type."""
    return cast("M", raw)


def serialized(message: object) -> bytes:
    """The bytes of a reply, which may be bytes already (`as_message`)."""
    return message if isinstance(message, bytes) else cast("Message", message).SerializeToString()


def repeated(message: type[Message], field: str, items: Iterable[bytes]) -> bytes:
    """A message of this type that holds these serialized messages in a repeated field.

    Two serialized messages behind each other are the two merged, so what else it holds can follow.
    """
    tag = _varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | _LENGTH_DELIMITED)
    return b"".join(part for raw in items for part in (tag, _varint(len(raw)), raw))


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
