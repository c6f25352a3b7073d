"""Registers whose meaning depends on the machine or on the kind of tool."""

from __future__ import annotations

from dataclasses import replace

import pytest

from smoothcore_server.domain.binding import Binding, BindingState
from smoothcore_server.domain.length import LengthUnit
from smoothcore_server.domain.machine import (
    DiameterMeaning,
    LengthReference,
    MachineKind,
    RegisterProfile,
)
from smoothcore_server.domain.tool_kind import ToolKind
from smoothcore_server.domain.verification import (
    Note,
    TableFacts,
    UnverifiableReason,
    Verdict,
    VerdictCode,
)
from tests.verify_facts import (
    call,
    codes,
    contents,
    entry,
    header,
    judge,
    mm,
    report_of,
    table,
    tool,
    with_machine,
)
from tests.verify_shop import cutter, only, shop

TAP = ToolKind.TAP


def test_another_tap_is_the_wrong_tool_and_register_d_says_nothing_of_it() -> None:
    wanted = call(header("8", kind=TAP))
    wrong = judge(wanted, table(entry("8"), bound=tool("3", kind=TAP)))
    assert wrong.code is VerdictCode.WRONG_TOOL
    assert "diameter 3 mm instead of 8 mm, -5 mm" in wrong.message
    right = judge(wanted, table(entry("6.8"), bound=tool("8", kind=TAP)))
    assert right.code is VerdictCode.OK
    assert ("diameter", "D may be the thread or the core hole of a tap") in [
        (item.field, item.reason) for item in right.not_compared
    ]


@pytest.mark.parametrize("kinds", [(TAP, None), (None, TAP)])
def test_it_is_enough_that_one_side_says_tap(kinds: tuple[ToolKind | None, ...]) -> None:
    wanted = call(header("8", kind=kinds[0]))
    facts = table(entry("8"), bound=tool("3", kind=kinds[1]))
    assert judge(wanted, facts).code is VerdictCode.WRONG_TOOL


def test_a_bound_tap_that_states_no_size_proves_none() -> None:
    verdict = judge(call(header("8", kind=TAP)), table(entry("8"), bound=tool(kind=TAP)))
    assert verdict.unverifiable_reason is UnverifiableReason.NO_REGISTER
    assert verdict.next_step == "State the size of tools/em-6."


@pytest.mark.parametrize("length", [None, "0", "120.5"])
def test_a_machine_that_probes_each_tool_needs_no_length(length: str | None) -> None:
    machine = with_machine(length_reference=LengthReference.PROBED_EACH_CHANGE)
    facts = table(entry("6.35", length=length), bound=tool("6.35"), machine=machine)
    verdict = judge(call(header("6.35"), h=3), facts)
    assert verdict.code is VerdictCode.OK
    assert ("length_register", "the machine probes the length at each tool change") in [
        (item.field, item.reason) for item in verdict.not_compared
    ]
    assert judge(call(header("6.35"), h=5), facts).code is VerdictCode.OFFSET_MISMATCH


def master(length: str | None, confirmed: str | None, *others: str, **changes: object) -> Verdict:
    """The verdict on a row of this length among others, on a machine with a master tool."""
    machine = with_machine(length_reference=LengthReference.MASTER_TOOL)
    rows = [entry("8", number=4 + index, length=other) for index, other in enumerate(others)]
    binding = Binding("b", "mill-1", "3", "em-6", confirmed_length=mm(confirmed))
    facts: TableFacts = table(
        entry("6.35", length=length), *rows, bound=tool("6.35"), machine=machine
    )
    facts = replace(facts, bindings={"3": replace(binding, **changes)})  # type: ignore[arg-type]
    return judge(call(header("6.35"), h=3), facts)


def test_the_master_tool_itself_has_a_length_of_0() -> None:
    verdict = master("0", "0", "12.5", "-3")
    assert verdict.code is VerdictCode.OK
    assert "the master tool" in verdict.not_compared[0].reason


def test_a_length_of_0_that_may_be_a_forgotten_one_is_not_set() -> None:
    not_set = VerdictCode.LENGTH_NOT_SET
    assert master("0", "14.2", "12.5").code is not_set  # It was measured when it was confirmed.
    assert master("0", None, "12.5").code is not_set  # It was absent then.
    assert master("0", "0", "0").code is not_set  # Another one has it, too.
    assert master(None, "0", "12.5").code is not_set  # Absent is not 0.
    suspect = master("0", "0", "12.5", state=BindingState.SUSPECT)
    assert not_set in codes(suspect)


def test_another_length_reference_has_no_master_tool() -> None:
    facts = table(entry("6.35", length="0"), bound=tool("6.35"))
    binding = replace(facts.bindings["3"], confirmed_length=mm("0"))
    facts = replace(facts, bindings={"3": binding})
    assert judge(call(header("6.35"), h=3), facts).code is VerdictCode.LENGTH_NOT_SET


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (ToolKind.ENGRAVER, ToolKind.CHAMFER_MILL),
        (ToolKind.CHAMFER_MILL, ToolKind.ENGRAVER),
    ],
)
def test_a_v_bit_is_one_cutter_under_two_words(wanted: ToolKind, found: ToolKind) -> None:
    facts = table(entry("6"), bound=tool("12", kind=found))
    assert judge(call(header("6", kind=wanted)), facts).code is VerdictCode.OK


@pytest.mark.parametrize(
    ("meaning", "register", "absurd"),
    [
        (DiameterMeaning.DIAMETER_WEAR, "6.35", True),
        (DiameterMeaning.DIAMETER_WEAR, "-2.1", True),
        (DiameterMeaning.DIAMETER_WEAR, "0.05", False),
        (DiameterMeaning.DIAMETER_WEAR, "0", False),
        (DiameterMeaning.RADIUS_WEAR, "1.5", True),
        (DiameterMeaning.RADIUS_WEAR, "1", False),
    ],
)
def test_a_size_in_a_wear_register_is_no_wear(
    meaning: DiameterMeaning, register: str, absurd: bool
) -> None:
    machine = with_machine(register_profile=RegisterProfile(meaning, confirmed=True))
    facts = table(entry(register), bound=tool("6.35"), machine=machine)
    verdict = judge(call(header("6.35"), d=3), facts)
    assert (verdict.code is VerdictCode.GEOMETRY_MISMATCH) is absurd
    if absurd:
        assert "more than 2 mm is no wear" in verdict.message
        assert verdict.next_step.startswith("Enter the wear and not the size in register D of T3")
    # Without G41 and G42 nothing uses the register.
    assert judge(call(header("6.35")), facts).code is VerdictCode.OK


def test_wear_beside_the_size_is_judged_too() -> None:
    row = entry("6.35")
    row = replace(row, registers=replace(row.registers, diameter_wear=mm("6.35")))
    facts = table(row, bound=tool("6.35"))
    assert judge(call(header("6.35"), d=3), facts).code is VerdictCode.GEOMETRY_MISMATCH
    assert judge(call(header("6.35")), facts).code is VerdictCode.OK


def test_a_lathe_tool_with_another_offset_is_no_mismatch() -> None:
    lathe = with_machine(kind=MachineKind.LATHE)
    wanted = call(header(corner_radius="0.4", kind=ToolKind.TURNING), h=25)
    insert = tool(kind=ToolKind.TURNING, corner_radius="0.4")
    facts = table(entry("9"), entry("0.8", number=25), bound=insert, machine=lathe)
    verdict = judge(wanted, facts)
    assert verdict.code is VerdictCode.OK
    assert "corner_radius" in [item.field for item in verdict.compared]
    assert codes(judge(wanted, replace(facts, machine=with_machine()))) == [
        VerdictCode.OFFSET_MISMATCH
    ]


def test_the_nose_radius_is_that_of_the_called_offset() -> None:
    lathe = with_machine(kind=MachineKind.LATHE)
    wanted = call(header(corner_radius="0.4", kind=ToolKind.TURNING), h=25)
    facts = table(entry("0.8"), entry("2.4", number=25), machine=lathe)
    assert "register D of T25 says 1.20 mm" in judge(wanted, facts).message
    no_length = table(entry("0.8"), entry("0.8", number=25, length="0"), machine=lathe)
    assert judge(wanted, no_length).code is VerdictCode.UNCONFIRMED
    assert VerdictCode.LENGTH_NOT_SET in codes(judge(wanted, no_length))


def test_a_header_within_the_wear_band_of_a_reground_tool_agrees() -> None:
    machine = shop("T1 P1 D5.9 Z50", wear_band=mm("0.2")).bind(1, cutter("em-6", "5.9"))
    program = "G21\n(T1 D=6. CR=0. - ZMIN=-1 - FLAT END MILL)\nT1 M6"
    verdict = only(machine.verify(program))
    assert (verdict.code, verdict.notes) == (VerdictCode.OK, (Note.WEAR_ADJUSTED,))
    without = replace(machine, machine=replace(machine.machine, wear_band=None))
    assert only(without.verify(program)).code is VerdictCode.WRONG_TOOL


@pytest.mark.parametrize(
    ("register", "code"),
    [
        # 3/16 in is 0.1875, and three decimals are what people type.
        ("0.188", VerdictCode.OK),
        ("0.188000", VerdictCode.OK),
        ("+0.187500", VerdictCode.OK),
        ("0.187000", VerdictCode.OK),
        # Typed with six decimals, it is another size.
        ("0.188001", VerdictCode.GEOMETRY_MISMATCH),
        ("0.190000", VerdictCode.GEOMETRY_MISMATCH),
    ],
)
def test_zeros_that_linuxcnc_fills_in_are_no_precision(register: str, code: VerdictCode) -> None:
    machine = shop(f"T1 P1 D{register} Z2", LengthUnit.INCH).bind(1, cutter("em", "4.7625"))
    assert only(machine.verify('G20\n(T1 = 3/16" END MILL)\nT1 M6')).code is code


@pytest.mark.parametrize(("wanted", "register"), [("6.35", "6.000000"), ("12.5", "12.000000")])
def test_an_integer_that_linuxcnc_has_filled_up_stays_exact(wanted: str, register: str) -> None:
    machine = shop(f"T1 P1 D{register} Z2").bind(1, cutter("em", wanted))
    program = f"G21\n(T1 D={wanted} CR=0. - ZMIN=-1 - FLAT END MILL)\nT1 M6"
    assert only(machine.verify(program)).code is VerdictCode.GEOMETRY_MISMATCH


def test_a_register_that_is_not_needed_does_not_make_a_program_without_claims_ready() -> None:
    assert not report_of(contents(), table(entry("6.35"), bound=tool("6.35"))).ready
