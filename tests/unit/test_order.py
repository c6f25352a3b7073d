"""The order of lists: what it may say, and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoothcore_server.domain.errors import InvalidArgumentError
from smoothcore_server.domain.order import OrderTerm, parse_order, to_text
from smoothcore_server.store import nouns
from smoothcore_server.store.listing import Listing


def refusal(text: str) -> str:
    with pytest.raises(InvalidArgumentError) as refused:
        parse_order(text)
    (violation,) = refused.value.violations
    assert violation.field == "order_by"
    return violation.description


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", ()),
        ("  ", ()),
        ("a", (OrderTerm("a"),)),
        ("a asc", (OrderTerm("a"),)),
        ("a desc", (OrderTerm("a", True),)),
        ("a DESC,b", (OrderTerm("a", True), OrderTerm("b"))),
        ("  a.b   desc ,  c  ", (OrderTerm("a.b", True), OrderTerm("c"))),
        ("desc desc", (OrderTerm("desc", True),)),
    ],
)
def test_fields_have_a_direction(text: str, terms: tuple[OrderTerm, ...]) -> None:
    assert parse_order(text) == terms


def test_terms_know_where_they_stand() -> None:
    assert [term.position for term in parse_order("a,  b desc , c")] == [1, 5, 14]


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        (",", 1, "expected a field between the commas"),
        ("a,", 3, "expected a field between the commas"),
        ("a, ,b", 4, "expected a field between the commas"),
        ("a down", 1, 'expected asc, desc or a comma behind a, found "down"'),
        ("a desc b", 1, 'found "b"'),
        ("-a", 1, '"-a" is no field'),
        ("a..b", 1, '"a..b" is no field'),
        ("a, b; DROP", 4, '"b;" is no field'),
        ("a, b, a desc", 7, "a is named twice"),
        ("a,b,c,d,e,f", 11, "more than 5 fields"),
    ],
)
def test_what_is_no_order_is_refused_with_place_and_reason(
    text: str, position: int, words: str
) -> None:
    description = refusal(text)
    assert description.startswith(f"character {position}: ")
    assert words in description


def test_the_size_of_an_order_is_bounded() -> None:
    assert "at most 500" in refusal("a" * 501)


def test_a_field_cannot_come_twice_by_its_short_name() -> None:
    with pytest.raises(InvalidArgumentError, match=r"geometry\.diameter is named twice"):
        Listing.parse(nouns.TOOL, "", "diameter, geometry.diameter desc")


@pytest.mark.parametrize("name", ["condition_reason", "secret", "geometry"])
def test_the_error_for_a_field_lists_those_to_order_by(name: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        Listing.parse(nouns.TOOL, "", f"uid, {name}")
    assert f'character 6: "{name}" is none of the fields name (resource name)' in (
        refused.value.message
    )
    assert "condition_reason (" not in refused.value.message


NAMES = st.from_regex(r"[a-z]{1,6}(\.[a-z]{1,6})?", fullmatch=True)


@given(st.lists(st.builds(OrderTerm, NAMES, st.booleans()), max_size=5, unique_by=lambda t: t.name))
def test_printed_terms_are_read_as_the_same_terms(terms: list[OrderTerm]) -> None:
    assert parse_order(to_text(terms)) == tuple(terms)


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from(["a", "b", "asc", "desc", ",", " ", ".", "\x00"])).map("".join)
)
def test_any_text_is_an_order_or_an_invalid_argument(text: str) -> None:
    try:
        found: object = parse_order(text)
    except InvalidArgumentError as error:
        found = error
    if isinstance(found, InvalidArgumentError):
        assert found.violations[0].field == "order_by"
