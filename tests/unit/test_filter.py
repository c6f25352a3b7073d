"""The filter language: what it means, what it refuses, and that it says why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoothcore_server.domain.errors import ErrorReason, InvalidArgumentError
from smoothcore_server.domain.filter_expression import (
    MAX_NESTING,
    MAX_TERMS,
    MAX_TEXT,
    And,
    Comparison,
    Expression,
    Not,
    Operator,
    Or,
    parse_filter,
    to_text,
)
from smoothcore_server.store import nouns
from smoothcore_server.store.listing import Listing
from smoothcore_server.store.noun import Noun


def term(name: str, value: str = "1", operator: Operator = Operator.EQUAL) -> Comparison:
    return Comparison(tuple(name.split(".")), operator, value)


A, B, C, D = (term(name) for name in "abcd")


def parsed(text: str) -> Expression:
    found = parse_filter(text)
    assert found is not None
    return found


def refusal(text: str) -> str:
    with pytest.raises(InvalidArgumentError) as refused:
        parse_filter(text)
    assert refused.value.reason is ErrorReason.INVALID_FIELD
    (violation,) = refused.value.violations
    assert violation.field == "filter"
    return violation.description


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a = 1", A),
        ("a=1", A),
        ("  a\t=\n1 ", A),
        ("(a=1)", A),
        ("a=1 b=1", And((A, B))),
        ("a=1 AND b=1", And((A, B))),
        ("(a=1)(b=1)", And((A, B))),
        ("a=1 b=1 AND c=1", And((A, B, C))),
        ("a=1 OR b=1", Or((A, B))),
        ("NOT a=1", Not(A)),
        ("-a=1", Not(A)),
        ("-(a=1 OR b=1)", Not(Or((A, B)))),
        ("NOT (NOT a=1)", Not(Not(A))),
        ("NOT a=1 OR b=1", Or((Not(A), B))),
        ("(a=1 b=1) c=1", And((And((A, B)), C))),
    ],
)
def test_terms_are_combined(text: str, tree: Expression) -> None:
    assert parsed(text) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a=1 AND b=1 OR c=1", And((A, Or((B, C))))),
        ("a=1 OR b=1 AND c=1 OR d=1", And((Or((A, B)), Or((C, D))))),
        ("a=1 b=1 OR c=1 d=1", And((A, Or((B, C)), D))),
        ("(a=1 AND b=1) OR c=1", Or((And((A, B)), C))),
    ],
)
def test_or_binds_tighter_than_and(text: str, tree: Expression) -> None:
    assert parsed(text) == tree


@pytest.mark.parametrize("operator", Operator)
def test_every_operator_is_read_with_and_without_spaces(operator: Operator) -> None:
    for text in (f"a{operator.value}1", f"a {operator.value} 1"):
        assert parsed(text) == term("a", operator=operator)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a = tools/em-6-0042", "tools/em-6-0042"),
        ("a = -0.25in", "-0.25in"),
        ("a = Fräser", "Fräser"),
        ("a = DRILL-8~2F", "DRILL-8~2F"),
        ('a = ""', ""),
        ('a = "AND"', "AND"),
        ('a = "2026-03-01T00:00:00Z"', "2026-03-01T00:00:00Z"),
        (r'a = "6\" \\ \*"', r'6" \ *'),
        ('a = "(x) = %_\'"', "(x) = %_'"),
    ],
)
def test_values_are_words_or_quoted(text: str, value: str) -> None:
    assert parsed(text) == term("a", value)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("geometry.diameter = 1", ("geometry", "diameter")),
        ("external_ids.sap-1 = 1", ("external_ids", "sap-1")),
        ('external_ids."a.b" = 1', ("external_ids", "a.b")),
    ],
)
def test_fields_have_dots_and_keys(text: str, path: tuple[str, ...]) -> None:
    assert parsed(text) == Comparison(path, Operator.EQUAL, "1")


def test_terms_know_where_they_stand() -> None:
    expression = parsed("a = 1 AND  b != x")
    assert isinstance(expression, And)
    last = expression.parts[1]
    assert isinstance(last, Comparison)
    assert (last.position, last.value_position) == (12, 17)


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_an_empty_filter_lets_everything_through(text: str) -> None:
    assert parse_filter(text) is None


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("a = *", 5, "wildcards are not supported"),
        ("a = 6*", 6, "wildcards are not supported"),
        ('a = "6*"', 7, "wildcards are not supported"),
        ("a:*", 3, "wildcards are not supported"),
        ("a = 'x'", 5, "double quotes"),
        ("drill", 6, "expected =, !=, <, <=, >, >= or :"),
        ("diameter > 6 mm", 16, 'needs double quotes, e.g. "6 mm"'),
        ("a = 1 and b = 1", 7, "write AND in capitals"),
        ("not a = 1", 1, "write NOT in capitals"),
        ("a = 1 && b = 1", 7, "write AND"),
        ("a = 1 || b = 1", 7, "write OR"),
        ("f(a) = 1", 2, "functions are not supported"),
        ("a == 1", 4, 'expected a value; found "="'),
        ("a = ", 5, "the filter ends here"),
        ("a = AND", 5, 'expected a value; found "AND"'),
        ("a = 1 AND", 10, "the filter ends here"),
        ("a = 1 OR OR b = 1", 10, "expected a field"),
        ("NOT NOT a = 1", 5, "expected a field"),
        ("a. = 1", 3, "a name or a key behind the dot"),
        ("(a = 1", 1, "this ( is never closed"),
        ("a = 1)", 6, "this ) closes nothing"),
        ("()", 2, "expected a field"),
        ('a = "x', 5, "this quote is never closed"),
        (r'a = "\n"', 7, r"in quotes, \ stands before"),
        ("t > 2026-03-01T00:00:00Z", 18, 'needs double quotes, e.g. "a:b"'),
        ('a = "x"y', 8, "a value ends with a space"),
        ("a = 1, b = 1", 6, "a value ends with a space"),
        ("a = x\x00", 6, "control character"),
        ('a = "\ud800"', 6, "control character"),
        ("1 = a", 1, "expected a field"),
        ("a ! b", 3, 'found "!"'),
    ],
)
def test_what_is_no_filter_is_refused_with_place_and_reason(
    text: str, position: int, words: str
) -> None:
    description = refusal(text)
    assert description.startswith(f"character {position}: ")
    assert words in description


def test_the_size_of_a_filter_is_bounded() -> None:
    long = "a = " + "x" * (MAX_TEXT - 4)
    assert parse_filter(long)
    assert "at most 2000" in refusal(long + "x")
    many = " ".join(["a=1"] * MAX_TERMS)
    assert parse_filter(many)
    assert "more than 50 terms" in refusal(f"{many} a=1")
    deep = "(" * MAX_NESTING + "a=1" + ")" * MAX_NESTING
    assert parsed(deep) == A
    assert "nested deeper than 10" in refusal(f"({deep})")


WORDS = [
    *["a", "kind", "geometry.diameter", "secret_hash", "AND", "OR", "NOT", "and", "-", "(", ")"],
    *["=", "!=", "<", "<=", ">", ">=", ":", "*", '"', '" "', '"x"', "'", ",", ".", "é", "\\"],
    *["6mm", "1", "true", "DRILL", "tools/x", '"2026-03-01T00:00:00Z"', "\x00", "\u00a0"],
]
TEXTS = st.text(max_size=60) | st.lists(st.sampled_from(WORDS), max_size=30).flatmap(
    lambda words: st.sampled_from([" ".join(words), "".join(words)])
)


@given(TEXTS)
def test_any_text_is_a_filter_or_an_invalid_argument(text: str) -> None:
    try:
        found: object = parse_filter(text)
    except InvalidArgumentError as error:
        found = error
    if isinstance(found, InvalidArgumentError):
        assert found.violations[0].field == "filter"
        assert len(found.message) < 500
    else:
        assert (found is None) == (not text.strip())


VALUES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=8)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True)
COMPARISONS = st.builds(
    lambda name, keys, operator, value: Comparison((name, *keys), operator, value),
    NAMES,
    st.lists(VALUES, max_size=2),
    st.sampled_from(Operator),
    VALUES | st.sampled_from(["AND", "NOT", "-5", "", "a b", '"', "*", "\\"]),
)
EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    COMPARISONS,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(lambda parts: And(tuple(parts)), st.lists(inner, min_size=2, max_size=3))
        | st.builds(lambda parts: Or(tuple(parts)), st.lists(inner, min_size=2, max_size=3))
    ),
    max_leaves=8,
)


@given(EXPRESSIONS)
def test_a_printed_tree_is_read_as_the_same_tree(expression: Expression) -> None:
    assert parse_filter(to_text(expression)) == expression


@given(TEXTS)
def test_what_was_read_is_printed_and_read_the_same(text: str) -> None:
    try:
        expression = parse_filter(text)
    except InvalidArgumentError:
        return
    if expression is not None:
        printed = to_text(expression)
        assert parse_filter(printed) == expression
        assert to_text(parsed(printed)) == printed


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.sampled_from([noun for noun in nouns.NOUNS if noun is not nouns.READINESS]))
def test_no_text_breaks_the_compiler_either(text: str, noun: Noun[Any]) -> None:
    for filter_text, order_text in ((text, ""), ("", text)):
        try:
            listing = Listing.parse(noun, filter_text, order_text)
        except InvalidArgumentError:
            continue
        assert "secret_hash" not in "".join(str(each) for each in listing.conditions)
