"""Tool tables and programs, from files."""

from __future__ import annotations

import asyncio
from os import PathLike, fspath
from pathlib import Path
from typing import TypeAlias, cast

from smoothcore.v1.length_pb2 import LengthUnit
from smoothcore.v1.machine_pb2 import DiameterMeaning, ToolChange
from smoothcore.v1.machine_service_pb2 import ToolTableFile, ToolTableFormat
from smoothcore.v1.verification_service_pb2 import InlineTable
from smoothcore_client._enums import enum_number

Source: TypeAlias = str | PathLike[str] | bytes
"""A file to read, or its bytes."""
Word: TypeAlias = str | int
"""A value of an enum: its word ("mm", "snapshot", "linuxcnc-tbl") or its number."""

_FORMATS = {
    ".tbl": ToolTableFormat.TOOL_TABLE_FORMAT_LINUXCNC_TBL,
    ".csv": ToolTableFormat.TOOL_TABLE_FORMAT_CSV,
}


def table_format(path: str | PathLike[str]) -> ToolTableFormat.ValueType:
    """The format of a tool table file, by its extension. Raises ValueError for others."""
    found = _FORMATS.get(Path(path).suffix.lower())
    if found is None:
        raise ValueError(
            f"{fspath(path)}: cannot tell the format from the extension; "
            "state it (--format): linuxcnc-tbl or csv"
        )
    return found


def table_file(
    source: Source, *, format: Word | None = None, unit: Word | None = None
) -> ToolTableFile:
    """A tool table file as a message, from a path or from bytes.

    Args:
        source: the file, or its bytes.
        format: "linuxcnc-tbl" or "csv"; by the extension when absent, so bytes must state it.
        unit: "mm" or "in"; when absent, the unit of the machine.
    """
    return ToolTableFile(
        format=_stated_format(source, format),
        content=read(source),
        length_unit=enum_number(LengthUnit, unit or 0),
    )


def inline_table(
    source: Source,
    *,
    unit: Word,
    format: Word | None = None,
    diameter_meaning: Word | None = None,
    tool_change: Word | None = None,
) -> InlineTable:
    """A tool table to verify against without storing it.

    Args:
        source: the file, or its bytes.
        unit: "mm" or "in": a table file does not say its unit, and no machine does here.
        format: as in `table_file`.
        diameter_meaning: what D means, "diameter" or "radius"; for a LinuxCNC table a diameter.
        tool_change: how tools are changed, e.g. "manual"; fixed pockets when absent.
    """
    return InlineTable(
        file=table_file(source, format=format, unit=unit),
        diameter_meaning=enum_number(DiameterMeaning, diameter_meaning or 0),
        tool_change=enum_number(ToolChange, tool_change or 0),
    )


def _stated_format(source: Source, format: Word | None) -> ToolTableFormat.ValueType:
    if format is not None:
        return cast("ToolTableFormat.ValueType", enum_number(ToolTableFormat, format))
    if isinstance(source, bytes):
        raise ValueError("the format of bytes must be stated: linuxcnc-tbl or csv")
    return table_format(source)


def read(source: Source) -> bytes:
    """The bytes of a source."""
    return source if isinstance(source, bytes) else Path(source).read_bytes()


async def read_program(source: Source) -> bytes:
    """The bytes of an NC program, without holding up the event loop. Raises ValueError for none."""
    content = source if isinstance(source, bytes) else await asyncio.to_thread(read, source)
    if not content:
        name = "the program" if isinstance(source, bytes) else fspath(source)
        raise ValueError(f"{name} is empty")
    return content


def file_name(source: Source) -> str:
    """The name of the file; empty for bytes."""
    return "" if isinstance(source, bytes) else Path(source).name
