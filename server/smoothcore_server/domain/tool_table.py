"""The tool table of a machine: its rows as they were read, and what could not be read."""

from __future__ import annotations

import enum
import re
from dataclasses import field
from datetime import datetime

from smoothcore_server.domain.length import Length
from smoothcore_server.domain.record import record
from smoothcore_server.domain.resource import EPOCH, Meta


@record(frozen=True, slots=True)
class Registers:
    """The registers of one row. None means that the source had no such value: not zero.

    ``diameter_geometry`` is what the control keeps in D; whether that is a diameter or a radius
    is the machine's register profile. On a control whose tool length is its Z offset (LinuxCNC),
    Z is ``length_geometry`` and ``z`` stays None. Angles are in degrees.
    """

    length_geometry: Length | None = None
    length_wear: Length | None = None
    diameter_geometry: Length | None = None
    diameter_wear: Length | None = None
    x: Length | None = None
    y: Length | None = None
    z: Length | None = None
    u: Length | None = None
    v: Length | None = None
    w: Length | None = None
    a_deg: float | None = None
    b_deg: float | None = None
    c_deg: float | None = None
    front_angle_deg: float | None = None
    back_angle_deg: float | None = None
    orientation: int | None = None
    unreadable: tuple[str, ...] = ()
    """Names of the fields above whose text was no usable number (NaN, beyond 5 m); their value
    is None, and the row stays."""


@record(frozen=True, slots=True)
class TableRow:
    """One readable row of a tool table, before anything is known about it."""

    address: str
    """How the control names the row: ``5``, ``5.1``, ``DRILL-8/2``."""
    tool_number: int | None
    pocket: int | None
    registers: Registers
    description: str = ""
    line: int = 0
    """1-based line in the file; 0 when the rows did not come from a file."""
    source_text: str = ""
    """The line as it stood in the file, without its line end."""


@record(frozen=True, slots=True)
class TableProblem:
    """A line that could not be read, as the control would skip it, or a value that was dropped."""

    line: int
    text: str
    message: str
    """What is wrong and where, for a person."""
    address: str | None = None
    """The row it was meant for, where that could still be told: that row is UNREADABLE."""


@record(frozen=True, slots=True)
class ParsedTable:
    """What a reader found in a file. Repeated addresses are all in ``rows``, in file order."""

    rows: tuple[TableRow, ...] = ()
    problems: tuple[TableProblem, ...] = ()


class EntryState(enum.Enum):
    """What is known of a row. Only PRESENT can ever be OK."""

    PRESENT = "PRESENT"
    AMBIGUOUS = "AMBIGUOUS"
    """The number stood in the table more than once; controls differ in which one they use."""
    UNREADABLE = "UNREADABLE"
    MISSING = "MISSING"
    """It was in an earlier snapshot and is not in the newest."""


@record(frozen=True, slots=True)
class RepeatedAddress:
    """An address that more than one row of a push claims."""

    address: str
    lines: tuple[int, ...]
    rows: tuple[TableRow, ...] = field(default=(), compare=False)


def repeated_addresses(rows: tuple[TableRow, ...]) -> dict[str, RepeatedAddress]:
    """The addresses that stand in ``rows`` more than once, with their lines in file order."""
    by_address: dict[str, list[TableRow]] = {}
    for row in rows:
        by_address.setdefault(row.address, []).append(row)
    return {
        address: RepeatedAddress(address, tuple(row.line for row in group), tuple(group))
        for address, group in by_address.items()
        if len(group) > 1
    }


class ReadFrom(enum.Enum):
    """How a reading came in; made by the server from the credential and the kind of push."""

    CONTROL = "CONTROL"
    FILE = "FILE"
    OPERATOR = "OPERATOR"


@record(frozen=True, slots=True)
class ToolTableEntry:
    """One row of a machine's tool table as last read. Observed only."""

    machine_id: str
    address: str
    tool_number: int | None = None
    pocket: int | None = None
    registers: Registers = Registers()
    description: str = ""
    state: EntryState = EntryState.PRESENT
    state_reason: str = ""
    """For a state other than PRESENT: the lines and what is wrong with them."""
    read_time: datetime = EPOCH
    """When the values were last read as they are; refreshed by an identical reading."""
    read_from: ReadFrom = ReadFrom.FILE
    reporter: str = ""
    """The credential that reported the values, e.g. ``apiKeys/4f…``."""
    source_text: str = ""
    meta: Meta = field(default=Meta(), compare=False)

    @property
    def name(self) -> str:
        """The resource name; the address is escaped where it holds other characters."""
        return f"machines/{self.machine_id}/toolTableEntries/{escape_address(self.address)}"


_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)


def escape_address(address: str) -> str:
    """Turn an address into a resource id: any byte outside ``[A-Za-z0-9._-]`` becomes ``~XX``.

    ``DRILL-8/2`` becomes ``DRILL-8~2F2``. Reversible by `unescape_address`.
    """
    if _PLAIN_ADDRESS.fullmatch(address):
        return address
    return "".join(
        chr(byte) if _PLAIN_ADDRESS.fullmatch(chr(byte)) else f"~{byte:02X}"
        for byte in address.encode()
    )


def unescape_address(entry_id: str) -> str:
    """The address that `escape_address` made this id from; ValueError if it made no such id."""
    head, *parts = entry_id.split("~")
    raw = bytearray(head.encode())
    for part in parts:
        raw += bytes.fromhex(part[:2]) + part[2:].encode()
    address = raw.decode()
    if escape_address(address) != entry_id:
        raise ValueError(f"{entry_id!r} is not the id of a tool table entry")
    return address
