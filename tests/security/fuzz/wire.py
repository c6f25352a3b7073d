"""What can be wrong with the bytes of a message, whatever it says."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

Edit = Callable[[bytes], bytes]
DEPTH = 20_000


def as_it_is(raw: bytes) -> bytes:
    """Nothing."""
    return raw


def with_unknown_fields(raw: bytes) -> bytes:
    """A newer client knows more fields: a varint, a text, and eight bytes."""
    return raw + tag(29_999, 0) + b"\x01" + tag(29_998, 2) + b"\x03abc" + tag(29_997, 1) + b"8" * 8


def said_twice(raw: bytes) -> bytes:
    """Every field comes again: the last one counts, and repeated ones are twice as long."""
    return raw + raw


def with_bad_utf8(raw: bytes) -> bytes:
    """A text is no text."""
    for letters in (b"machines/", b"tools/", b"display", b"mill"):
        if letters in raw:
            return raw.replace(letters, b"\xff\xfe\xc0\x80"[: len(letters)].ljust(len(letters)))
    return raw + b"\x0a\x02\xc3\x28"


def with_surrogates(raw: bytes) -> bytes:
    """Half a surrogate pair, as some languages write it, in the first text."""
    return raw + b"\x0a\x03\xed\xa0\x80"


def cut_off(raw: bytes) -> bytes:
    """The end is missing."""
    return raw[: len(raw) // 2]


def with_huge_length(raw: bytes) -> bytes:
    """A field claims to be two gigabytes long."""
    return raw + b"\x0a\xff\xff\xff\xff\x07"


def with_bad_tag(raw: bytes) -> bytes:
    """Field zero, and a wire type that does not exist."""
    return raw + b"\x00\x07"


def in_deep_groups(raw: bytes) -> bytes:
    """Groups in groups in groups, unknown all of them."""
    return raw + tag(29_996, 3) * DEPTH + tag(29_996, 4) * DEPTH


def in_deep_messages(raw: bytes) -> bytes:
    """The first field holds itself, a hundred times over."""
    inner = b""
    for _ in range(150):
        inner = b"\x0a" + varint(len(inner)) + inner
    return raw + inner


def tag(number: int, wire_type: int) -> bytes:
    """The tag of a field."""
    return varint(number << 3 | wire_type)


def varint(number: int) -> bytes:
    """A number as the wire has it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


WRONG: tuple[Edit, ...] = (
    with_unknown_fields,
    said_twice,
    with_bad_utf8,
    with_surrogates,
    cut_off,
    with_huge_length,
    with_bad_tag,
    in_deep_groups,
    in_deep_messages,
)


def edits() -> st.SearchStrategy[Edit]:
    """Mostly none."""
    return st.sampled_from((as_it_is,) * 12 + WRONG)
