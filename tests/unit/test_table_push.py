"""A push of a tool table: what becomes of each row, and when the push is held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoothcore_server.domain.length import Length
from smoothcore_server.domain.machine import DiameterMeaning, Machine, RegisterProfile
from smoothcore_server.domain.resource import Meta
from smoothcore_server.domain.table_hold import HoldReason, hold_message, hold_reason
from smoothcore_server.domain.table_push import (
    PushMode,
    PushPlan,
    RowOutcome,
    RowPlan,
    classify,
)
from smoothcore_server.domain.tool_table import (
    EntryState,
    ParsedTable,
    ReadFrom,
    Registers,
    TableProblem,
    TableRow,
    ToolTableEntry,
)
from tests.verify_facts import MILL, RADIUS, READ, inch, mm, with_machine

LATER = READ + timedelta(minutes=5)
Table = Mapping[str, ToolTableEntry]


def row(
    number: int,
    diameter: str | None = "6.35",
    *,
    length: str | None = None,
    line: int = 0,
    text: str = "",
) -> TableRow:
    registers = Registers(length_geometry=mm(length), diameter_geometry=mm(diameter))
    return TableRow(str(number), number, number, registers, text, line or number)


def push(
    existing: Table,
    *rows: TableRow,
    mode: PushMode = PushMode.SNAPSHOT,
    problems: tuple[TableProblem, ...] = (),
    machine: Machine = MILL,
) -> PushPlan:
    return classify(
        machine,
        existing,
        ParsedTable(rows, problems),
        mode,
        read_time=LATER,
        read_from=ReadFrom.CONTROL,
        reporter="apiKeys/2",
    )


def stored(*rows: TableRow) -> dict[str, ToolTableEntry]:
    """The entries after a first push of these rows, five minutes ago."""
    plan = classify(
        MILL,
        {},
        ParsedTable(rows),
        PushMode.SNAPSHOT,
        read_time=READ,
        read_from=ReadFrom.FILE,
        reporter="apiKeys/1",
    )
    return {item.address: item.entry for item in plan.rows}


def only(plan: PushPlan) -> RowPlan:
    (plan_row,) = plan.rows
    return plan_row


def test_a_new_row_is_created_with_its_origin() -> None:
    made = only(push({}, row(3)))
    assert (made.outcome, made.before) == (RowOutcome.CREATED, None)
    assert made.entry.machine_id == "mill-1"
    assert (made.entry.read_time, made.entry.reporter) == (LATER, "apiKeys/2")
    assert made.entry.read_from is ReadFrom.CONTROL


def test_the_same_numbers_in_other_digits_are_unchanged_and_keep_their_text() -> None:
    existing = stored(row(3, "0.511"))
    plan = push(existing, row(3, "+0.511000"))
    same = only(plan)
    assert same.outcome is RowOutcome.UNCHANGED
    assert same.entry.registers.diameter_geometry == mm("0.511")
    assert (same.entry.read_time, same.entry.reporter) == (LATER, "apiKeys/2")
    assert plan.changes_nothing


@pytest.mark.parametrize(
    "changed",
    [
        row(3, "6.36"),
        row(3, None),
        row(3, text="flat"),
        row(3, length="0"),
        replace(row(3), pocket=9),
        replace(row(3), tool_number=None),
        replace(row(3), registers=Registers(diameter_geometry=inch("0.25"))),
        replace(row(3), registers=replace(row(3).registers, unreadable=("x",))),
        replace(row(3), registers=replace(row(3).registers, orientation=2)),
    ],
)
def test_any_other_value_updates_the_row_and_keeps_its_identity(changed: TableRow) -> None:
    existing = {"3": replace(stored(row(3))["3"], meta=Meta("uid", 7))}
    plan = push(existing, changed)
    updated = only(plan)
    assert updated.outcome is RowOutcome.UPDATED
    assert (updated.entry.meta.uid, updated.entry.read_time) == ("uid", LATER)
    assert not plan.changes_nothing


def test_a_repeated_number_is_ambiguous_names_its_lines_and_keeps_the_old_value() -> None:
    existing = stored(row(3), row(4))
    plan = push(existing, row(3, "8", line=3), row(3, "9", line=7), row(4, "5"))
    first, second = plan.rows
    assert first.outcome is RowOutcome.AMBIGUOUS
    assert "lines 3 and 7" in first.message
    assert first.entry == replace(
        existing["3"], state=EntryState.AMBIGUOUS, state_reason=first.message
    )
    assert second.outcome is RowOutcome.UPDATED


def test_a_number_repeated_in_a_new_row_is_stored_without_values() -> None:
    made = only(push({}, row(3, line=3), row(3, line=7), row(3, line=9)))
    assert made.outcome is RowOutcome.AMBIGUOUS
    assert "3 times in lines 3, 7 and 9" in made.message
    assert (made.entry.registers, made.entry.tool_number) == (Registers(), 3)


def test_a_row_that_is_still_ambiguous_for_the_same_lines_is_unchanged() -> None:
    first = only(push(stored(row(3)), row(3, line=3), row(3, line=7)))
    plan = push({"3": first.entry}, row(3, line=3), row(3, line=7))
    again = only(plan)
    assert (again.outcome, again.entry.read_time) == (RowOutcome.UNCHANGED, READ)
    assert plan.count_in(EntryState.AMBIGUOUS) == 1
    moved = only(push({"3": first.entry}, row(3, line=4), row(3, line=8)))
    assert moved.outcome is RowOutcome.AMBIGUOUS


def test_a_line_that_cannot_be_read_marks_its_row_and_stops_no_other() -> None:
    existing = stored(row(3), row(4))
    problem = TableProblem(3, "T3 P3 Dx", "D is no number", "3")
    homeless = TableProblem(9, "???", "no T")
    plan = push(existing, row(4), problems=(problem, homeless))
    outcomes = {item.address: item.outcome for item in plan.rows}
    assert outcomes == {"3": RowOutcome.UNREADABLE, "4": RowOutcome.UNCHANGED}
    bad = next(item.entry for item in plan.rows if item.address == "3")
    assert (bad.state, bad.state_reason) == (EntryState.UNREADABLE, "line 3: D is no number")
    assert (bad.registers, bad.read_time) == (existing["3"].registers, READ)
    assert plan.problems == (homeless,)


def test_an_unreadable_new_row_is_stored_without_values() -> None:
    made = only(push({}, problems=(TableProblem(3, "T3 Dx", "bad", "3"),)))
    assert made.outcome is RowOutcome.UNREADABLE
    assert (made.entry.tool_number, made.entry.registers) == (3, Registers())


def test_a_value_that_was_dropped_leaves_its_row_present() -> None:
    problem = TableProblem(3, "T3 Dnan", "D is no number", "3")
    made = only(push({}, row(3, None, line=3), problems=(problem,)))
    assert made.entry.state is EntryState.PRESENT
    assert made.message == "line 3: D is no number"


def test_a_readable_and_an_unreadable_line_on_one_number_are_never_present() -> None:
    problem = TableProblem(8, "T3 Dx", "bad", "3")
    made = only(push(stored(row(3)), row(3, "8", line=3), problems=(problem,)))
    assert made.outcome is RowOutcome.UNREADABLE
    assert made.entry.registers.diameter_geometry == mm("6.35")


def test_a_snapshot_marks_rows_that_it_leaves_out_and_a_merge_does_not() -> None:
    existing = stored(row(3), row(4))
    assert push(existing, row(3), mode=PushMode.MERGE).count(RowOutcome.MISSING) == 0
    gone = push(existing, row(3)).rows[1]
    assert (gone.address, gone.outcome) == ("4", RowOutcome.MISSING)
    assert gone.entry.state is EntryState.MISSING
    assert (gone.entry.read_time, gone.entry.registers) == (READ, existing["4"].registers)


def test_a_row_that_is_missing_already_has_no_part_in_the_next_snapshot() -> None:
    existing = stored(row(3), row(4))
    gone = push(existing, row(3)).rows[1].entry
    assert [item.address for item in push({**existing, "4": gone}, row(3)).rows] == ["3"]


def test_a_missing_row_that_returns_is_updated() -> None:
    gone = replace(stored(row(3))["3"], state=EntryState.MISSING, state_reason="gone")
    back = only(push({"3": gone}, row(3)))
    assert back.outcome is RowOutcome.UPDATED
    assert (back.entry.state, back.entry.state_reason) == (EntryState.PRESENT, "")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["1", "2", "+2.0"])), max_size=8))
def test_a_second_push_of_the_same_rows_changes_nothing(pairs: list[tuple[int, str]]) -> None:
    rows = [row(number, size, line=line) for line, (number, size) in enumerate(pairs, 1)]
    first = push({}, *rows)
    assert {item.address for item in first.rows} == {item.address for item in rows}
    again = push({item.address: item.entry for item in first.rows}, *rows)
    assert again.changes_nothing


# Holding a push.


def held(
    existing: Table,
    *rows: TableRow,
    mode: PushMode = PushMode.SNAPSHOT,
    bound: Mapping[str, Length] | None = None,
    machine: Machine = MILL,
) -> HoldReason | None:
    plan = push(existing, *rows, mode=mode, machine=machine)
    return hold_reason(machine, existing, plan, mode, bound or {})


def numbered(count: int, diameter: str = "6.35") -> list[TableRow]:
    return [row(number, diameter) for number in range(1, count + 1)]


def test_an_empty_snapshot_is_held_and_an_empty_merge_is_not() -> None:
    assert held(stored(row(3))) is HoldReason.EMPTY
    assert held({}) is HoldReason.EMPTY
    assert held(stored(row(3)), mode=PushMode.MERGE) is None


def test_a_snapshot_of_placeholders_over_real_rows_is_empty() -> None:
    zeros = [replace(row(number, "0", length="0.000")) for number in (1, 2, 3)]
    assert held(stored(*numbered(3)), *zeros) is HoldReason.EMPTY
    assert held({}, *zeros) is None


def test_a_table_of_ten_rows_that_loses_over_half_is_held() -> None:
    existing = stored(*numbered(10))
    assert held(existing, *numbered(4)) is HoldReason.SHRUNK
    assert held(existing, *numbered(5)) is None
    assert held(existing, *numbered(4), mode=PushMode.MERGE) is None
    assert held(stored(*numbered(9)), *numbered(1)) is None


def test_placeholder_rows_count_neither_before_nor_after() -> None:
    zeros = [row(number, "0") for number in range(20, 60)]
    assert held(stored(*numbered(9), *zeros), *numbered(9)) is None
    assert held(stored(*numbered(12)), *numbered(4), *zeros) is HoldReason.SHRUNK
    named = [replace(item, description="reserved") for item in zeros]
    assert held(stored(*numbered(12)), *numbered(4), *named) is None


def test_unreadable_rows_still_stand_in_the_table() -> None:
    existing = stored(*numbered(10))
    problems = tuple(TableProblem(n, "?", "bad", str(n)) for n in range(4, 11))
    plan = push(existing, *numbered(3), problems=problems)
    assert hold_reason(MILL, existing, plan, PushMode.SNAPSHOT, {}) is None


@pytest.mark.parametrize("mode", list(PushMode))
@pytest.mark.parametrize(("before", "after"), [("6.35", "0.25"), ("0.25", "6.35")])
def test_values_that_move_by_a_factor_of_25_4_are_suspected(
    mode: PushMode, before: str, after: str
) -> None:
    existing = stored(*numbered(3, before))
    assert held(existing, *numbered(3, after), mode=mode) is HoldReason.UNIT_SUSPICION


def test_two_rows_or_half_of_those_that_changed_are_no_unit_suspicion() -> None:
    existing = stored(*numbered(6, "6.35"))
    unchanged = numbered(6, "6.35")
    assert held(existing, *numbered(2, "0.25"), *unchanged[2:]) is None
    assert held(existing, *numbered(3, "0.25"), *[row(n, "7") for n in (4, 5, 6)]) is None
    three = (*numbered(3, "0.25"), *[row(n, "7") for n in (4, 5)], unchanged[5])
    assert held(existing, *three) is HoldReason.UNIT_SUSPICION


def test_new_rows_have_no_vote_on_the_unit() -> None:
    new = [row(number, "7") for number in range(10, 20)]
    moved = numbered(3, "0.25")
    assert held(stored(*numbered(3)), *moved, *new) is HoldReason.UNIT_SUSPICION


def test_the_factor_may_be_half_a_percent_off_and_keeps_its_sign() -> None:
    existing = stored(*[row(n, None, length="-100") for n in (1, 2, 3)])

    def lengths(text: str) -> list[TableRow]:
        return [row(n, None, length=text) for n in (1, 2, 3)]

    assert held(existing, *lengths("-3.95")) is HoldReason.UNIT_SUSPICION
    assert held(existing, *lengths("-3.90")) is None
    assert held(existing, *lengths("3.937")) is None


def test_rows_that_fit_their_tools_only_in_the_other_unit_are_suspected() -> None:
    existing = stored(*numbered(3, "0"))
    nominal = {str(n): Length.of(6.35, MILL.length_unit) for n in (1, 2, 3)}
    assert held(existing, *numbered(3, "0.25"), bound=nominal) is HoldReason.UNIT_SUSPICION
    assert held(existing, *numbered(3, "6.35"), bound=nominal) is None
    radius = with_machine(register_profile=RADIUS)
    small = numbered(3, "0.125")
    assert held(existing, *small, bound=nominal, machine=radius) is HoldReason.UNIT_SUSPICION
    profile = RegisterProfile(DiameterMeaning.DIAMETER_WEAR, confirmed=True)
    wear = with_machine(register_profile=profile)
    assert held(existing, *numbered(3, "0.25"), bound=nominal, machine=wear) is None


def test_what_was_accepted_once_is_not_suspected_again() -> None:
    existing = stored(*numbered(3, "0.25"))
    nominal = {str(n): Length.of(6.35, MILL.length_unit) for n in (1, 2, 3)}
    assert held(existing, *numbered(3, "0.25"), bound=nominal) is None


def test_a_held_push_says_what_looks_wrong_and_what_to_do() -> None:
    existing = stored(*numbered(10))
    shrunk = hold_message(HoldReason.SHRUNK, existing, push(existing, *numbered(4)))
    assert "10 rows with content, and the push has 4" in shrunk
    assert "accept" in shrunk
    suspicion = hold_message(HoldReason.UNIT_SUSPICION, existing, push(existing))
    assert "25.4" in suspicion
