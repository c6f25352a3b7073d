"""Comparisons of single fields: what a register says of a size, and whether two sizes agree."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from smoothcore_server.domain.kind_rules import WEAR_MEANINGS, size_field
from smoothcore_server.domain.length import (
    MAX_PRINT_TOLERANCE_MM,
    Length,
    LengthUnit,
    tolerance_mm,
)
from smoothcore_server.domain.machine import DiameterMeaning, Machine
from smoothcore_server.domain.record import record
from smoothcore_server.domain.resource import EPOCH
from smoothcore_server.domain.tool_table import EntryState, ToolTableEntry
from smoothcore_server.domain.verification import CompareSource, Comparison, UnverifiableReason

# One part in 10^9 keeps binary rounding from deciding at the very edge of a tolerance.
_EDGE = 1 + 1e-9

# A control that prints so many decimals fills them up with zeros.
_FILLED_DECIMALS = 6

_DIAMETER_FACTOR = {DiameterMeaning.DIAMETER: "1", DiameterMeaning.RADIUS: "2"}
_RADII = frozenset({DiameterMeaning.RADIUS, DiameterMeaning.RADIUS_WEAR})
_RADIUS_FACTOR = {DiameterMeaning.DIAMETER: "0.5", DiameterMeaning.RADIUS: "1"}


@record(frozen=True, slots=True)
class SizeReading:
    """What a D register says of the size of its tool: a diameter, on a lathe a nose radius."""

    label: str
    """``register D of T3``, for messages."""
    size: Length | None = None
    """None where the register says nothing of a size; ``why_not`` then says why."""
    printed_mm: float = 0.0
    """Half the last printed digit of the register, in terms of ``size``."""
    why_not: str = ""
    reason: UnverifiableReason = UnverifiableReason.NO_REGISTER
    compensates: bool = False
    """Whether G41/G42 can work with the register, although it may say nothing of the size."""
    unreadable: bool = False
    wear: Length | None = None
    """How much a wear register takes from or adds to the diameter, where there is one."""


def read_size(entry: ToolTableEntry | None, number: int, machine: Machine) -> SizeReading:
    """Read the D register with this number.

    A value of 0 or less says nothing: LinuxCNC lathe tables and cleared rows hold such ones.
    """
    label = f"register D of T{number}"
    if entry is None or entry.state is EntryState.MISSING:
        return SizeReading(label, why_not=f"there is no row {number}")
    if entry.state is not EntryState.PRESENT:
        return SizeReading(label, why_not=f"row {number} is {entry.state.value.lower()}")
    wear = read_wear(entry, machine)
    raw = entry.registers.diameter_geometry
    if raw is None:
        unreadable = "diameter_geometry" in entry.registers.unreadable
        why = f"{label} is {'unreadable' if unreadable else 'absent'}"
        return SizeReading(label, why_not=why, unreadable=unreadable, wear=wear)
    return replace(_interpret(label, raw, machine), wear=wear)


def read_wear(entry: ToolTableEntry, machine: Machine) -> Length | None:
    """By how much the registers of a row correct its diameter; None where none does.

    A control with one D register may keep wear in it, others keep it beside the size; a control
    that keeps radii keeps the wear of the radius.
    """
    profile, registers = machine.register_profile, entry.registers
    meaning = profile.diameter_meaning if profile.confirmed else None
    raw = registers.diameter_geometry if meaning in WEAR_MEANINGS else registers.diameter_wear
    if raw is None or meaning not in _RADII:
        return raw
    return Length(str(Decimal(raw.text) * 2), raw.unit, raw.mm * 2)


def _interpret(label: str, raw: Length, machine: Machine) -> SizeReading:
    profile = machine.register_profile
    meaning = profile.diameter_meaning if profile.confirmed else None
    if meaning in WEAR_MEANINGS:
        why = f"{label} is a wear value and says nothing of the size"
        return SizeReading(label, why_not=why, compensates=True)
    if raw.mm <= 0:
        return SizeReading(label, why_not=f"{label} is {raw}")
    if meaning is None:
        why = f"nobody has confirmed whether {label} is a diameter or a radius"
        reason = UnverifiableReason.MEANING_UNCONFIRMED
        return SizeReading(label, why_not=why, reason=reason)
    factors = _RADIUS_FACTOR if size_field(machine) == "corner_radius" else _DIAMETER_FACTOR
    factor = Decimal(factors[meaning])
    # The text keeps its number of decimals: a radius printed as 3.18 may be 3.175, so its
    # diameter is known to 0.01 mm only.
    size = Length(str(Decimal(raw.text) * factor), raw.unit, raw.mm * float(factor))
    printed_mm = _printed_mm(raw) * float(factor)
    return SizeReading(label, size, printed_mm, compensates=True)


def _printed_mm(raw: Length) -> float:
    """Half the last digit that a person has typed into a register.

    LinuxCNC prints all values with six decimals: ``0.188000`` is the 0.188 that somebody typed
    for 3/16 in, and ``6.000000`` is the exact 6.
    """
    if len(raw.text.partition(".")[2]) < _FILLED_DECIMALS or "e" in raw.text.lower():
        return raw.half_last_digit_mm
    typed = raw.text.rstrip("0").rstrip(".")
    return Length(typed, raw.unit, raw.mm).half_last_digit_mm


def wear_band_mm(machine: Machine) -> float:
    """How much smaller than nominal a register may be, in mm."""
    return max(0.0, machine.wear_band.mm) if machine.wear_band else 0.0


def within_wear_band(nominal: Length, found: Length, machine: Machine) -> bool:
    """Whether a register is smaller than nominal, by no more than the machine's wear band.

    A cutter gets smaller by wear and regrinding, never larger.
    """
    return 0 < nominal.mm - found.mm <= wear_band_mm(machine) * _EDGE


@record(frozen=True, slots=True)
class Found:
    """A value to compare with what a claim states, and where it comes from."""

    source: CompareSource
    source_name: str
    read_time: datetime | None = None


def compare_sizes(
    field: str, expected: Length, found: Length, where: Found, printed_mm: float = 0.0
) -> Comparison:
    """Compare two lengths within the tolerance of their sources."""
    tolerance = max(
        tolerance_mm((expected, found)),
        min(printed_mm, MAX_PRINT_TOLERANCE_MM),
    )
    difference = found.mm - expected.mm
    return Comparison(
        field=field,
        expected=str(expected),
        found=str(found),
        agrees=abs(difference) <= tolerance * _EDGE,
        source=where.source,
        source_name=where.source_name,
        read_time=where.read_time,
        difference_mm=difference,
        tolerance_mm=tolerance,
    )


def compare_words(field: str, expected: str, found: str, agrees: bool, where: Found) -> Comparison:
    """Record the comparison of two values that are no lengths."""
    return Comparison(
        field=field,
        expected=expected,
        found=found,
        agrees=agrees,
        source=where.source,
        source_name=where.source_name,
        read_time=where.read_time,
    )


def difference_text(difference_mm: float, unit: LengthUnit) -> str:
    """A signed difference for a person, e.g. ``+6.35 mm``, in the unit of what was expected."""
    decimals = 4 if unit is LengthUnit.MILLIMETER else 5
    text = f"{difference_mm / unit.mm:+.{decimals}f}".rstrip("0").rstrip(".")
    return f"{text} {unit.value}"


def known_time(time: datetime) -> datetime | None:
    """The time of a fact; None for one that was never stored or read."""
    return None if time == EPOCH else time
