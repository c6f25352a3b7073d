"""What the verification report reads: the tables, programs and tool libraries of public shops.

The files are no part of this repository. ``SMOOTH_CORPUS`` names their folder; without it they
are expected beside the checkout.
"""

from __future__ import annotations

import csv
import json
import os
import re
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from smoothcore_server.domain.length import Length, LengthUnit, UnreadableLengthError
from smoothcore_server.domain.machine import (
    Assurance,
    DiameterMeaning,
    Machine,
    MachineKind,
    RegisterProfile,
    TableState,
)
from smoothcore_server.domain.program import ProgramContents
from smoothcore_server.domain.table_push import PushMode, classify
from smoothcore_server.domain.tool import ToolGeometry
from smoothcore_server.domain.tool_set import ToolSet, ToolSetKind, ToolSetMember
from smoothcore_server.domain.tool_table import ParsedTable, ReadFrom
from smoothcore_server.domain.tool_type import ToolType
from smoothcore_server.domain.verification import TableFacts
from smoothcore_server.formats import linuxcnc_tbl, nc_program
from smoothcore_server.formats.tool_words import kind_of

ROOT = Path(
    os.environ.get("SMOOTH_CORPUS") or Path(__file__).resolve().parents[1] / "../shared/corpus"
).resolve()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MM, INCH = LengthUnit.MILLIMETER, LengthUnit.INCH

_VERSION = re.compile(r"@(\d{4}-\d\d-\d\d)_[0-9a-f]+")


@dataclass(frozen=True)
class Shop:
    """A repository whose programs are meant for its own tables."""

    programs: str
    tables: str
    units: tuple[LengthUnit, ...]
    unit_reason: str


SHOPS = (
    Shop(
        "helioz2000+bf20",
        "helioz2000+bf20",
        (MM,),
        "its row texts say `2mm end mill` beside D2",
    ),
    Shop(
        "wrhammer+rover13s",
        "wrhammer+rover13s",
        (MM,),
        'a row text says `1/4" Collet` beside D+6.350000',
    ),
    Shop("hackland-shared+CNC", "hackland-shared+CNC", (MM,), "a row text says `6mm drill` at D6"),
    Shop(
        "swepeter+PrintNC_ATC_gmoccapy",
        "swepeter+PrintNC",
        (MM,),
        "two repositories of one owner; D60 and D16 are no inches, and all programs are G21",
    ),
    Shop(
        "LinuxCNC+linuxcnc",
        "LinuxCNC+linuxcnc",
        (MM, INCH),
        "a distribution with sample configurations in both units: each table is read in both",
    ),
)


@dataclass(frozen=True)
class TableFile:
    """One version of a table."""

    name: str
    path: Path
    version: str
    """The date of a historical version; ``newest`` for one that is not."""


@dataclass(frozen=True)
class ProgramFile:
    """One program."""

    name: str
    contents: ProgramContents

    @property
    def has_headers(self) -> bool:
        """Whether a tool comment describes a tool, called or not."""
        return bool(self.contents.uncalled_headers) or any(
            tool.headers for tool in self.contents.tools
        )


def is_present() -> bool:
    """Whether the files are here."""
    return (ROOT / "gcode").is_dir()


def files(*folders: str) -> list[Path]:
    """All files below folders of the corpus, sorted by name."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    return sorted(found, key=lambda path: path.relative_to(ROOT).as_posix())


def name_of(path: Path) -> str:
    """A file's path inside the corpus."""
    return path.relative_to(ROOT).as_posix()


def tables_of(repository: str) -> list[TableFile]:
    """The tables of a repository, the newest ones first."""
    found: list[TableFile] = []
    for path in files(f"linuxcnc-tbl/{repository}", f"linuxcnc-tbl-history/{repository}"):
        version = _VERSION.search(path.name)
        found.append(TableFile(name_of(path), path, version[1] if version else "newest"))
    return found


def programs_of(repository: str) -> list[ProgramFile]:
    """The programs of a repository that call a tool or describe one."""
    read = [read_program(name_of(path)) for path in files(f"gcode/{repository}")]
    return [item for item in read if item.contents.tools or item.has_headers]


@cache
def read_program(name: str) -> ProgramFile:
    """A program by its path in the corpus."""
    return ProgramFile(name, nc_program.read((ROOT / name).read_bytes()))


@cache
def read_table(path: Path, unit: LengthUnit) -> ParsedTable:
    """A table in a unit."""
    return linuxcnc_tbl.read(path.read_bytes(), unit)


def kind_of_table(parsed: ParsedTable) -> MachineKind:
    """A lathe's where a row has angles or an orientation (I, J, Q): no mill table has."""
    of_lathe = any(
        row.registers.front_angle_deg or row.registers.back_angle_deg or row.registers.orientation
        for row in parsed.rows
    )
    return MachineKind.LATHE if of_lathe else MachineKind.MILL


def machine(
    unit: LengthUnit,
    assurance: Assurance = Assurance.GEOMETRY,
    kind: MachineKind = MachineKind.MILL,
) -> Machine:
    """A LinuxCNC machine: D is a diameter, as its control has it."""
    return Machine(
        "m",
        unit,
        kind=kind,
        register_profile=RegisterProfile(DiameterMeaning.DIAMETER, confirmed=True),
        minimum_assurance=assurance,
        table_state=TableState.CURRENT,
    )


def facts_of(parsed: ParsedTable, of_machine: Machine, *, inline: bool = False) -> TableFacts:
    """A table as the server has it after a push, with no tool bound."""
    plan = classify(
        of_machine,
        {},
        parsed,
        PushMode.SNAPSHOT,
        read_time=NOW,
        read_from=ReadFrom.FILE,
        reporter="",
    )
    entries = {row.address: row.entry for row in plan.rows}
    return TableFacts(of_machine, entries, inline=inline)


@dataclass(frozen=True)
class Library:
    """A Fusion library as the tool set and the tool types that an import would make of it."""

    name: str
    tool_set: ToolSet
    types: dict[str, ToolType]


def libraries_of(repository: str) -> list[Library]:
    """The Fusion libraries of a repository."""
    folders = [f"{kind}/{repository}" for kind in ("fusion-csv", "fusion-json", "fusion-tools-zip")]
    return [_library(path) for path in files(*folders)]


def _library(path: Path) -> Library:
    types: dict[str, ToolType] = {}
    members: list[ToolSetMember] = []
    for index, row in enumerate(_library_rows(path)):
        kind = kind_of(row["type"])
        if row["type"] in ("", "holder"):
            continue
        type_id = f"t{index}"
        geometry = ToolGeometry(_length(row["DC"], row["unit"]))
        types[type_id] = ToolType(type_id, row["description"], kind, geometry)
        number = int(row["number"]) if row["number"].isdigit() else None
        members.append(ToolSetMember(number, tool_type_id=type_id))
    tool_set = ToolSet("library", kind=ToolSetKind.LIBRARY, members=tuple(members))
    return Library(name_of(path), tool_set, types)


def _library_rows(path: Path) -> list[dict[str, str]]:
    if path.suffix == ".csv":
        _, names, *rows = csv.reader(path.read_text("utf-8-sig").splitlines())
        found = [dict(zip(names, row, strict=False)) for row in rows]
        return [
            {
                "number": row["post-process/number"],
                "type": row["type"],
                "DC": row["geometry/DC"],
                "unit": row["unit"],
                "description": row["description"],
            }
            for row in found
        ]
    if path.suffix == ".json":
        data = json.loads(path.read_bytes())
    else:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("tools.json"))
    return [_json_row(item) for item in data["data"]]


def _json_row(item: dict[str, Any]) -> dict[str, str]:
    diameter = item.get("geometry", {}).get("DC")
    return {
        "number": str(item.get("post-process", {}).get("number", "")),
        "type": str(item.get("type", "")),
        # Fusion computes inches to 15 digits; 12.500000000000004 was typed as 12.5.
        "DC": "" if diameter is None else f"{diameter:.9g}",
        "unit": str(item.get("unit", "")),
        "description": str(item.get("description", "")),
    }


def _length(text: str, unit: str) -> Length | None:
    try:
        return Length.parse(text, INCH if unit == "inches" else MM)
    except UnreadableLengthError:
        return None
