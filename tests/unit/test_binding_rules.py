"""What a new reading of a row does to its binding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from smoothcore_server.domain.binding import Binding, BindingState
from smoothcore_server.domain.binding_rules import binding_after, rechecked
from smoothcore_server.domain.machine import (
    DiameterMeaning,
    LengthReference,
    RegisterProfile,
)
from smoothcore_server.domain.tool import Tool
from smoothcore_server.domain.tool_kind import ToolKind
from smoothcore_server.domain.tool_table import EntryState, ToolTableEntry
from tests.verify_facts import MILL, entry, mm, tool, with_machine

GAUGE = with_machine(length_reference=LengthReference.GAUGE_LINE)
BOUND = Binding(
    "b1", "mill-1", "3", "em-6", confirmed_length=mm("120.5"), confirmed_diameter=mm("6.35")
)
CONFIRMED = entry("6.35")
SIZELESS = tool()
SIZED = tool("6.35")


def gone(row: ToolTableEntry) -> ToolTableEntry:
    return replace(row, state=EntryState.MISSING)


def dormant() -> Binding:
    made = binding_after(BOUND, CONFIRMED, gone(CONFIRMED), GAUGE, SIZELESS)
    assert made is not None
    return made


def suspect() -> Binding:
    made = binding_after(BOUND, CONFIRMED, entry("6.35", length="95"), GAUGE, SIZELESS)
    assert made is not None
    return made


def test_an_unchanged_row_leaves_its_binding_alone() -> None:
    assert binding_after(BOUND, CONFIRMED, entry("6.350"), GAUGE, SIZELESS) is None


def test_a_row_that_is_read_again_emits_nothing_whatever_was_confirmed() -> None:
    touched_off = entry("8", length="95")
    assert binding_after(BOUND, touched_off, touched_off, GAUGE, SIZELESS) is None
    with_old_reason = replace(BOUND, state=BindingState.SUSPECT, state_reason="length moved")
    assert binding_after(with_old_reason, touched_off, touched_off, GAUGE, SIZELESS) is None


def test_a_pocket_never_moves_a_binding() -> None:
    moved = replace(CONFIRMED, pocket=17)
    assert binding_after(BOUND, CONFIRMED, moved, GAUGE, SIZELESS) is None


def test_an_ended_binding_stays_ended() -> None:
    ended = replace(BOUND, state=BindingState.ENDED)
    assert binding_after(ended, CONFIRMED, gone(CONFIRMED), GAUGE, SIZELESS) is None


def test_a_binding_goes_dormant_with_its_row_and_only_once() -> None:
    assert dormant().state is BindingState.DORMANT
    assert "row 3 is missing" in dormant().state_reason
    again = binding_after(dormant(), gone(CONFIRMED), gone(CONFIRMED), GAUGE, SIZELESS)
    assert again is None


@pytest.mark.parametrize("state", [EntryState.AMBIGUOUS, EntryState.UNREADABLE])
def test_a_repeated_or_unreadable_row_tells_nothing_of_its_tool(state: EntryState) -> None:
    bad = replace(entry("9"), state=state)
    assert binding_after(BOUND, CONFIRMED, bad, GAUGE, SIZELESS) is None
    assert binding_after(dormant(), gone(CONFIRMED), bad, GAUGE, SIZELESS) is None


def test_a_row_that_returns_as_it_was_brings_its_binding_back() -> None:
    back = binding_after(dormant(), gone(CONFIRMED), CONFIRMED, GAUGE, SIZELESS)
    assert back is not None
    assert (back.state, back.state_reason) == (BindingState.CONFIRMED, "")


@pytest.mark.parametrize("bound", [SIZED, SIZELESS])
def test_a_row_that_returns_with_another_diameter_makes_its_binding_suspect(bound: Tool) -> None:
    back = binding_after(dormant(), gone(CONFIRMED), entry("8"), MILL, bound)
    assert back is not None
    assert back.state is BindingState.SUSPECT
    assert back.state_reason == "register D of row 3 moved from 6.35 mm to 8 mm"


def test_a_row_that_returns_with_another_length_counts_where_lengths_belong_to_the_tool() -> None:
    other = entry("6.35", length="95")
    on_gauge = binding_after(dormant(), gone(CONFIRMED), other, GAUGE, SIZELESS)
    on_work_zero = binding_after(dormant(), gone(CONFIRMED), other, MILL, SIZELESS)
    assert on_gauge is not None
    assert on_gauge.state is BindingState.SUSPECT
    assert on_work_zero is not None
    assert on_work_zero.state is BindingState.CONFIRMED


def test_a_binding_that_was_suspect_never_comes_back_as_a_sure_one() -> None:
    unmeasured = replace(BOUND, confirmed_length=None)
    first, second = entry("6.35", length="120"), entry("6.35", length="95")
    doubted = binding_after(unmeasured, first, second, GAUGE, SIZELESS)
    assert doubted is not None
    asleep = binding_after(doubted, second, gone(second), GAUGE, SIZELESS)
    assert asleep is not None
    back = binding_after(asleep, gone(second), second, GAUGE, SIZELESS)
    assert back is not None
    assert back.state is BindingState.SUSPECT
    assert "was not set when the binding was confirmed" in back.state_reason


@pytest.mark.parametrize("reference", list(LengthReference))
def test_a_new_length_is_daily_work_unless_lengths_belong_to_the_tool(
    reference: LengthReference,
) -> None:
    machine = with_machine(length_reference=reference)
    after = binding_after(BOUND, CONFIRMED, entry("6.35", length="95"), machine, SIZED)
    if reference.length_belongs_to_tool:
        assert after is not None
        assert after.state is BindingState.SUSPECT
        assert after.state_reason == "length of row 3 moved from 120.5 mm to 95 mm"
    else:
        assert after is None


def test_a_length_within_tolerance_is_no_reason_but_small_steps_add_up() -> None:
    near, far = entry("6.35", length="120.58"), entry("6.35", length="120.68")
    assert binding_after(BOUND, CONFIRMED, near, GAUGE, SIZED) is None
    assert binding_after(BOUND, near, far, GAUGE, SIZED) is not None


def test_a_length_set_for_the_first_time_is_daily_work_and_a_cleared_one_is_not() -> None:
    unmeasured = replace(BOUND, confirmed_length=mm("0"))
    empty = entry("6.35", length="0")
    measured = binding_after(unmeasured, empty, CONFIRMED, GAUGE, SIZED)
    assert measured == replace(unmeasured, confirmed_length=mm("120.5"))
    cleared = binding_after(BOUND, CONFIRMED, entry("6.35", length=None), GAUGE, SIZED)
    assert cleared is not None
    assert cleared.state_reason.endswith("moved from 120.5 mm to nothing")


def test_a_tool_adopted_before_its_first_touch_off_cannot_be_changed_by_clearing_the_length() -> (
    None
):
    binding = replace(BOUND, confirmed_length=mm("0"))
    row = entry("6.35", length="0")
    states = []
    for length in ("80", "120", "0", "120"):
        after = entry("6.35", length=length)
        binding = binding_after(binding, row, after, GAUGE, SIZED) or binding
        row = after
        states.append(binding.state)
    assert states == [BindingState.CONFIRMED, *[BindingState.SUSPECT] * 3]


@pytest.mark.parametrize("cleared", ["0", None])
def test_a_diameter_that_is_cleared_is_suspect_since_nobody_else_would_judge_it(
    cleared: str | None,
) -> None:
    after = binding_after(BOUND, CONFIRMED, entry(cleared), MILL, SIZED)
    assert after is not None
    assert after.state is BindingState.SUSPECT
    assert "register D" in after.state_reason


def test_saying_that_registers_mean_something_else_does_not_hide_what_they_contradict() -> None:
    unsure = with_machine(register_profile=RegisterProfile(DiameterMeaning.DIAMETER))
    suspect = rechecked(BOUND, entry("12.7"), unsure, SIZED)
    assert suspect is not None
    assert suspect.state is BindingState.SUSPECT
    assert rechecked(BOUND, CONFIRMED, unsure, SIZED) is None


def test_a_new_diameter_is_left_to_verification_where_the_tool_has_one() -> None:
    other = entry("8")
    assert binding_after(BOUND, CONFIRMED, other, MILL, SIZED) is None
    after = binding_after(BOUND, CONFIRMED, other, MILL, SIZELESS)
    assert after is not None
    assert after.state is BindingState.SUSPECT


def test_a_new_diameter_counts_where_verification_would_not_compare_it() -> None:
    other = entry("8")
    chamfer = tool("6.35", kind=ToolKind.CHAMFER_MILL)
    assert binding_after(BOUND, CONFIRMED, other, MILL, chamfer) is not None
    unsure = with_machine(register_profile=RegisterProfile(DiameterMeaning.DIAMETER))
    assert binding_after(BOUND, CONFIRMED, other, unsure, SIZED) is not None


def test_a_wear_correction_is_daily_work() -> None:
    wear = with_machine(register_profile=RegisterProfile(DiameterMeaning.DIAMETER_WEAR, True))
    assert binding_after(BOUND, CONFIRMED, entry("-0.05"), wear, SIZELESS) is None


def test_a_suspect_binding_is_confirmed_again_when_its_registers_return() -> None:
    moved = entry("6.35", length="95")
    back = binding_after(suspect(), moved, CONFIRMED, GAUGE, SIZELESS)
    assert back is not None
    assert (back.state, back.state_reason) == (BindingState.CONFIRMED, "")


def test_a_suspect_binding_stays_suspect_and_names_the_newest_value() -> None:
    moved, again = entry("6.35", length="95"), entry("6.35", length="80")
    assert binding_after(suspect(), moved, moved, GAUGE, SIZELESS) is None
    after = binding_after(suspect(), moved, again, GAUGE, SIZELESS)
    assert after is not None
    assert after.state is BindingState.SUSPECT
    assert after.state_reason.endswith("to 80 mm")
