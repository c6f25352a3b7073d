"""Lengths: what is read, what is kept of its print, and when two say the same."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoothcore_server.domain.length import (
    MAX_LENGTH_MM,
    Length,
    LengthUnit,
    UnreadableLengthError,
    agree,
    is_plain,
    same_value,
    tolerance_mm,
)

MM = LengthUnit.MILLIMETER
INCH = LengthUnit.INCH

UNITS = st.sampled_from(LengthUnit)
VALUES = st.floats(-MAX_LENGTH_MM / 25.4, MAX_LENGTH_MM / 25.4)
LENGTHS = st.builds(Length.of, VALUES, UNITS)


def mm(text: str) -> Length:
    return Length.parse(text, MM)


def inch(text: str) -> Length:
    return Length.parse(text, INCH)


@pytest.mark.parametrize(
    ("text", "value"),
    [("6.35", 6.35), ("+38.337674", 38.337674), (".5", 0.5), ("6.", 6), ("1e-3", 0.001)],
)
def test_decimals_are_read_as_controls_print_them(text: str, value: float) -> None:
    assert mm(text).mm == value
    assert mm(text).text == text


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "-Infinity", "0x10", "6,35", "1/4", "6.35mm", "1_0", "٣", "1" * 65]
)
def test_what_is_no_decimal_is_refused(text: str) -> None:
    with pytest.raises(UnreadableLengthError):
        mm(text)


@given(st.from_regex(is_plain.__self__, fullmatch=True))
def test_a_plain_print_is_read_as_exactly_as_any(text: str) -> None:
    assert (mm(text).mm, inch(text).mm) == (mm(text + "e0").mm, inch(text + "e0").mm)
    exact = Fraction(Decimal(text)) * Fraction(254, 10)
    assert abs(Fraction(inch(text).mm) - exact) <= Fraction(1, 10**9)


@pytest.mark.parametrize("text", ["5000.1", "-5000.1", "1e400"])
def test_a_length_beyond_five_metres_is_refused(text: str) -> None:
    with pytest.raises(UnreadableLengthError):
        mm(text)


def test_five_metres_count_in_millimetres_whatever_the_unit() -> None:
    with pytest.raises(UnreadableLengthError):
        inch("200")
    assert mm("200").mm == 200


def test_negative_zero_is_zero() -> None:
    assert (mm("-0.0").mm, mm("-0.0").text) == (0.0, "0.0")
    assert math.copysign(1, mm("-0.0").mm) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(UnreadableLengthError):
        Length.of(value, MM)


@given(VALUES, UNITS)
def test_a_number_comes_back_from_its_own_text(value: float, unit: LengthUnit) -> None:
    length = Length.of(value, unit)
    assert Length.parse(length.text, unit) == length
    assert float(length.text) == value


def test_a_whole_number_is_printed_as_an_integer() -> None:
    assert Length.of(6.0, MM).text == "6"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (inch("0.25"), mm("6.35")),
        (inch("0.250"), mm("6.350000")),
        (inch(".5"), mm("12.7")),
        (inch("1"), mm("25.4")),
        (inch("0.0984"), mm("2.5")),
        (mm("3.18"), mm("3.175")),
        (mm("6.0"), mm("6.02")),
        (mm("100"), mm("100.1")),
    ],
)
def test_these_sizes_agree(one: Length, other: Length) -> None:
    assert agree(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (mm("0.25"), mm("6.35")),
        (mm("6"), mm("6.35")),
        (mm("6.00"), mm("6.35")),
        (mm("3"), mm("3.175")),
        (mm("12"), mm("12.5")),
        (mm("6"), mm("6.02")),
        (inch("6.00"), mm("6.00")),
        (inch("0.498"), inch("0.5")),
        (mm("6.4"), mm("6.35")),
        (mm("0"), mm("0.006")),
        (mm("6.35"), mm("-6.35")),
    ],
)
def test_these_sizes_do_not_agree(one: Length, other: Length) -> None:
    assert not agree(one, other)


def test_an_integer_is_exact_and_a_decimal_knows_its_last_digit() -> None:
    assert mm("6").half_last_digit_mm == 0
    assert mm("6.0").half_last_digit_mm == pytest.approx(0.05)
    assert inch("0.25").half_last_digit_mm == pytest.approx(0.127)
    assert mm("1e2").half_last_digit_mm == 0


def test_the_last_digit_never_counts_for_more_than_two_hundredths() -> None:
    assert tolerance_mm((mm("6.3"), mm("6.35"))) == 0.02


def test_the_percentage_is_taken_of_the_smaller_length() -> None:
    assert tolerance_mm((mm("50"), mm("5000"))) == pytest.approx(0.05)


@given(LENGTHS, LENGTHS)
def test_agreement_has_no_direction(one: Length, other: Length) -> None:
    assert agree(one, other) == agree(other, one)


@given(LENGTHS)
def test_every_length_agrees_with_itself_in_either_unit(length: Length) -> None:
    assert agree(length, length)
    assert agree(length, Length.of(length.mm, MM))


@given(st.floats(0.1, 190), st.floats(1.011, 25.4))
def test_sizes_one_percent_apart_and_more_than_the_print_tolerance_never_agree(
    value: float, factor: float
) -> None:
    one, other = Length.of(value, MM), Length.of(value * factor, MM)
    assert agree(one, other) <= (other.mm - one.mm <= 0.0201)


@given(st.floats(0.05, 100))
def test_a_size_never_agrees_with_itself_in_the_other_unit(value: float) -> None:
    assert not agree(Length.of(value, MM), Length.of(value, INCH))


def test_the_same_value_in_other_digits_is_the_same() -> None:
    assert same_value(inch("0.511"), inch("+0.511000"))
    assert same_value(mm("0"), mm("-0.0"))


def test_absent_is_not_zero_and_another_unit_is_another_value() -> None:
    assert same_value(None, None)
    assert not same_value(None, mm("0"))
    assert not same_value(mm("0"), None)
    assert not same_value(mm("25.4"), inch("1"))


def test_a_length_is_shown_with_its_own_digits_and_unit() -> None:
    assert str(inch("0.375")) == "0.375 in"
