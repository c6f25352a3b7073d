"""Resume tokens by themselves: what they say, and that nobody can make one up."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoothcore_server.domain.errors import (
    ErrorReason,
    FailedPreconditionError,
    InvalidArgumentError,
    SmoothCoreError,
)
from smoothcore_server.feed.tokens import (
    ANY_FILTER,
    Bookmark,
    Cursor,
    Position,
    ResumeTokens,
    filter_hash,
)

KEY = b"k" * 32
TOKENS = ResumeTokens(KEY, "timeline-1")
FILTER = filter_hash("TOOL", "*")
positions = st.builds(
    Position, st.integers(min_value=0, max_value=2**63 - 1), st.binary(min_size=8, max_size=8)
)


@given(positions, st.text(min_size=1, max_size=30), st.binary(min_size=8, max_size=8))
def test_a_token_within_a_snapshot_gives_its_place_back(
    position: Position, where: str, view: bytes
) -> None:
    for cursor in (Cursor(), Cursor("TOOL", "tools/t1"), Cursor("TOOL", "\x7f")):
        token = TOKENS.make(where, position, view, cursor)
        assert TOKENS.read(where, token, view) == Bookmark(position, cursor)
        for end in (-1, -2, -5):
            with pytest.raises(InvalidArgumentError):
                TOKENS.read(where, token[:end], view)


@given(positions, st.text(min_size=1, max_size=30), st.binary(min_size=8, max_size=8))
def test_a_token_gives_its_position_back(position: Position, where: str, view: bytes) -> None:
    assert TOKENS.read(where, TOKENS.make(where, position, view), view) == Bookmark(position)


@given(positions, st.binary(min_size=8, max_size=8))
def test_a_token_of_a_list_goes_on_with_any_filter(position: Position, view: bytes) -> None:
    assert TOKENS.read("default", TOKENS.make("default", position), view) == Bookmark(position)


@given(st.binary(max_size=200) | st.text().map(lambda text: text.encode()))
def test_no_byte_string_is_a_token_or_raises_anything_but_our_errors(raw: bytes) -> None:
    for token in (
        raw.decode("latin-1"),
        raw.decode("utf-8", errors="surrogateescape"),
        base64.urlsafe_b64encode(raw).decode(),
    ):
        with pytest.raises(SmoothCoreError) as caught:
            TOKENS.read("default", token, FILTER)
        assert caught.value.reason is ErrorReason.TOKEN_INVALID


@given(positions, st.data())
def test_a_token_with_one_bit_flipped_is_no_token(position: Position, data: st.DataObject) -> None:
    raw = bytearray(base64.urlsafe_b64decode(TOKENS.make("default", position, FILTER)))
    bit = data.draw(st.integers(min_value=0, max_value=len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InvalidArgumentError) as caught:
        TOKENS.read("default", base64.urlsafe_b64encode(raw).decode(), FILTER)
    assert caught.value.reason is ErrorReason.TOKEN_INVALID


@given(positions, st.data())
def test_a_part_of_a_token_is_no_token(position: Position, data: st.DataObject) -> None:
    token = TOKENS.make("default", position, FILTER)
    start, end = sorted(data.draw(st.tuples(*[st.integers(min_value=0, max_value=len(token))] * 2)))
    if (start, end) == (0, len(token)):
        return
    with pytest.raises(InvalidArgumentError):
        TOKENS.read("default", token[start:end], FILTER)


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_different_filters_have_different_hashes_and_none_is_that_of_any_filter(
    one: list[str], other: list[str]
) -> None:
    clean = [[part.replace("\x00", "") for part in parts] for parts in (one, other)]
    hashes = [filter_hash(*parts) for parts in clean]
    assert ANY_FILTER not in hashes
    if clean[0] != clean[1] and "" not in clean[0] + clean[1] and all(clean):
        assert hashes[0] != hashes[1]


def test_a_token_of_another_organization_key_timeline_or_filter_is_refused() -> None:
    token = TOKENS.make("default", Position(7, b"c" * 8), FILTER)
    with pytest.raises(InvalidArgumentError):
        TOKENS.read("other", token, FILTER)
    with pytest.raises(InvalidArgumentError):
        ResumeTokens(b"another key", "timeline-1").read("default", token, FILTER)
    for reader, view in (
        (ResumeTokens(KEY, "timeline-2"), FILTER),
        (TOKENS, filter_hash("TOOL", "mill-1")),
        (TOKENS, ANY_FILTER),
    ):
        with pytest.raises(FailedPreconditionError) as caught:
            reader.read("default", token, view)
        assert caught.value.reason is ErrorReason.TOKEN_FOREIGN


def test_a_position_holds_only_the_beginning_of_the_chain_hash() -> None:
    assert Position.at(3, b"0123456789") == Position(3, b"01234567")
