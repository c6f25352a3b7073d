"""Measure verification on the real files of public shops, and write docs/verification-report.md.

Needs the corpus, which is no part of this repository; see `verification_corpus`. The output
depends on the files and on the rules alone: running it twice gives the same file.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import verification_corpus as corpus
from verification_cases import CASES, ROW_TEXT, Case, Judgement
from verification_corpus import NOW, SHOPS, Shop
from verification_mutations import MUTATIONS, WORLDS, Claim, Tally, claims, measure, verdict_of
from verification_words import INTRO, LIMITS, MENDED

from smoothcore_server.domain.length import Length, LengthUnit
from smoothcore_server.domain.program import HeaderTool
from smoothcore_server.domain.tool_set_claims import facts_of_tool_set
from smoothcore_server.domain.verification import ProgramFacts, Report, Verdict, VerdictCode
from smoothcore_server.domain.verify import verify

OUTPUT = Path(__file__).resolve().parents[1] / "docs" / "verification-report.md"
LIBRARY_SHOP = "hackland-shared+CNC"
_WEAR_BANDS = ("0", "0.02", "0.05", "0.1")


@dataclass
class Count:
    """What was said of a number of pairs."""

    programs: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)
    pairs: int = 0
    ready: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)

    def add(self, program: str, table: str, report: Report) -> None:
        """Count one pair."""
        self.programs.add(program)
        self.tables.add(table)
        self.pairs += 1
        self.ready += report.ready
        self.verdicts.update(_code(verdict) for verdict in report.verdicts)
        self.codes.update({finding.code.name for finding in report.findings})


def _code(verdict: Verdict) -> str:
    reason = verdict.unverifiable_reason
    return f"{verdict.code.name} / {reason.name}" if reason else verdict.code.name


def main() -> None:
    if not corpus.is_present():
        sys.exit("The corpus is not here. SMOOTH_CORPUS can name its folder.")
    made = claims()
    sections = [
        INTRO,
        *_pairs_section(),
        *_libraries_section(),
        *_cases_section(made),
        *_mutations_section(made),
        MENDED,
        LIMITS,
    ]
    OUTPUT.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


# Real pairs.


def _pairs_section() -> Iterable[str]:
    yield """## Programs against tables of the same shop

Every program that calls or describes a tool, against every version of every table. A table whose
rows have angles or an orientation is a lathe's."""
    yield _unit_table()
    totals: dict[bool, Count] = {True: Count(), False: Count()}
    newest = Count()
    by_shop: dict[str, Count] = {}
    for shop in SHOPS:
        for program, table, with_header, report in _reports(shop):
            totals[with_header].add(program, table.name, report)
            by_shop.setdefault(shop.programs, Count()).add(program, table.name, report)
            if with_header and table.version == "newest":
                newest.add(program, table.name, report)
    yield _count_table(
        {
            "with headers, newest tables": newest,
            "with headers, all versions": totals[True],
            "without headers": totals[False],
        }
    )
    yield "By repository, all versions:"
    yield _count_table(by_shop)


def _unit_table() -> str:
    lines = ["| Tables of | Unit | How it was chosen |", "|---|---|---|"]
    for shop in SHOPS:
        units = ", ".join(unit.value for unit in shop.units)
        lines.append(f"| {shop.tables} | {units} | {shop.unit_reason} |")
    return "\n".join(lines)


def _reports(shop: Shop) -> Iterable[tuple[str, corpus.TableFile, bool, Report]]:
    tables = corpus.tables_of(shop.tables)
    for program in corpus.programs_of(shop.programs):
        for table in tables:
            for unit in shop.units:
                report = _program_report(program, table, unit)
                yield program.name, table, program.has_headers, report


def _program_report(
    program: corpus.ProgramFile, table: corpus.TableFile, unit: LengthUnit
) -> Report:
    parsed = corpus.read_table(table.path, unit)
    machine = corpus.machine(unit, kind=corpus.kind_of_table(parsed))
    return verify(ProgramFacts(program.contents), corpus.facts_of(parsed, machine), NOW)


def _count_table(counts: dict[str, Count]) -> str:
    rows: list[tuple[str, list[int]]] = [
        ("programs", [len(count.programs) for count in counts.values()]),
        ("tables", [len(count.tables) for count in counts.values()]),
        ("pairs (twice where the unit is open)", [count.pairs for count in counts.values()]),
        ("READY", [count.ready for count in counts.values()]),
    ]
    for code in sorted({code for count in counts.values() for code in count.codes}):
        rows.append((f"report: {code}", [count.codes[code] for count in counts.values()]))
    for code in sorted({code for count in counts.values() for code in count.verdicts}):
        rows.append((f"verdict: {code}", [count.verdicts[code] for count in counts.values()]))
    return _table(["", *counts], [[name, *map(str, values)] for name, values in rows])


def _table(names: list[str], rows: Iterable[list[str]]) -> str:
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


# Tool sets.


def _libraries_section() -> Iterable[str]:
    yield f"""## Fusion libraries against the tables of the same shop

The one repository with both is {LIBRARY_SHOP}. Each library is read as a tool set of
kind LIBRARY whose members name tool types, and verified alone against an inline table, which
proves sizes and no more."""
    counts: dict[str, Count] = {}
    for library in corpus.libraries_of(LIBRARY_SHOP):
        count = counts.setdefault(library.name.rpartition("/")[2], Count())
        for table in corpus.tables_of(LIBRARY_SHOP):
            report = _library_report(library, table.name)
            count.add(library.name, table.name, report)
    yield _count_table(counts)


def _library_report(library: corpus.Library, table: str) -> Report:
    parsed = corpus.read_table(corpus.ROOT / table, corpus.MM)
    facts = corpus.facts_of(parsed, corpus.machine(corpus.MM), inline=True)
    return verify(facts_of_tool_set(library.tool_set, {}, library.types), facts, NOW)


# Cases.


def _cases_section(made: list[Claim]) -> Iterable[str]:
    judged = Counter(case.judgement for case in CASES)
    counts = ", ".join(f"{judged[item]} {item.value}" for item in Judgement)
    yield f"""## {len(CASES)} verdicts read by eye

Chosen to span the verdicts, not at random: the shares are no rates. {counts}. All OKs of the two
sections above were read besides: 5 of programs, of which all are right, and 13 of a library, of
which the one below is false."""
    rows = [
        _case_row(index, case, *_verdict_of_case(case, made)) for index, case in enumerate(CASES, 1)
    ]
    names = ["", "Source", "Table", "T", "Verdict", "What a person says", "Judgement", "Why"]
    yield _table(names, rows)


def _case_row(index: int, case: Case, code: str, message: str) -> list[str]:
    again = "" if code == case.read else f" (it was {case.read} when it was read: read it again)"
    quote = f" `{case.quote}`" if case.quote else ""
    return [
        str(index),
        case.source + quote,
        case.table,
        "" if case.number is None else str(case.number),
        f"{code}{again}: {message}",
        case.person,
        case.judgement.value,
        case.reason,
    ]


def _verdict_of_case(case: Case, made: list[Claim]) -> tuple[str, str]:
    """The code and the message of what is said now."""
    if case.source == ROW_TEXT:
        claim = next(
            item for item in made if (item.table.name, item.number) == (case.table, case.number)
        )
        verdict = verdict_of(claim)
        return verdict.code.name, verdict.message
    report = _report_of_case(case)
    if case.number is None:
        return report.findings[0].code.name, report.findings[0].message
    verdict = next(item for item in report.verdicts if item.tool_number == case.number)
    return verdict.code.name, verdict.message


def _report_of_case(case: Case) -> Report:
    if not case.source.startswith("gcode/"):
        owner = case.source.split("/")[1]
        libraries = {library.name: library for library in corpus.libraries_of(owner)}
        return _library_report(libraries[case.source], case.table)
    table = corpus.TableFile(case.table, corpus.ROOT / case.table, "")
    return _program_report(corpus.read_program(case.source), table, corpus.MM)


# Mutations.


def _mutations_section(made: list[Claim]) -> Iterable[str]:
    said = Counter(verdict_of(claim).code.name for claim in made)
    tables = len({claim.table.name for claim in made})
    yield f"""## Mistakes that are made on purpose

Only a handful of real pairs agree, too few to measure what is *not* seen. So each row of a newest
table whose own text states a size with its unit (`6mm end mill`) is posted as the header of a
program: what a shop wrote for people against what it typed for the control. {len(made)} rows of
{tables} tables; the unit of a table is the one in which more of its rows agree. Texts with a
decimal comma are left out. As they stand: {_said(said)}."""
    yield _wear_bands(made)
    yield """Then one mistake is made in the table of each claim that is OK, with a seed of its own.
It is seen when the claim is not OK any more."""
    tally = measure(made)
    yield _seen_table(tally)
    yield "Not seen, and why:"
    yield _unseen_table(tally)
    real = list(_real_claims())
    yield f"""The same mistakes in the tables of the {len(real)} real claims that are OK, of
programs and of the library:"""
    tally = measure(real)
    yield _seen_table(tally)
    yield _unseen_table(tally)
    yield """Programs with numbers alone, and nothing pinned, are UNVERIFIABLE before and after: no
mistake is seen in them, and none can make them READY."""


def _real_claims() -> Iterable[Claim]:
    """The claims of real programs and libraries that are OK."""
    for shop in SHOPS:
        tables = corpus.tables_of(shop.tables)
        for program in corpus.programs_of(shop.programs):
            headers = {tool.tool_number: tool for tool in program.contents.tools if tool.header}
            for table in tables:
                report = _program_report(program, table, shop.units[0])
                for number in _agreeing(report):
                    tool = headers[number]
                    if tool.header is not None:
                        yield _claim(table, number, tool.header, tool.uses_length_offset)
    for library in corpus.libraries_of(LIBRARY_SHOP):
        types = {member.tool_number: member.tool_type_id for member in library.tool_set.members}
        for table in corpus.tables_of(LIBRARY_SHOP):
            for number in _agreeing(_library_report(library, table.name)):
                wanted = library.types[types[number]]
                size = wanted.geometry.diameter
                head = HeaderTool(number, 2, wanted.name, size, str(size), kind=wanted.kind)
                yield _claim(table, number, head, uses_length=False)


def _agreeing(report: Report) -> list[int]:
    return [item.tool_number for item in report.verdicts if item.code is VerdictCode.OK]


def _claim(table: corpus.TableFile, number: int, header: HeaderTool, uses_length: bool) -> Claim:
    rows = corpus.read_table(table.path, corpus.MM).rows
    row = next(row for row in rows if row.tool_number == number)
    return Claim(table, corpus.MM, row, header, uses_length)


def _said(said: Counter[str]) -> str:
    return ", ".join(f"{count} {code}" for code, count in said.most_common())


def _wear_bands(made: list[Claim]) -> str:
    """How many mismatches a wear band would explain: the price of its default, 0."""
    wrong = [claim for claim in made if verdict_of(claim).code is VerdictCode.GEOMETRY_MISMATCH]
    rows = []
    for band in _WEAR_BANDS:
        left = sum(not _within(claim, band) for claim in wrong)
        rows.append([f"{band} mm", str(left)])
    note = """Some of the mismatches are cutters that were measured or reground. This many are left
with a wear band:"""
    return f"{note}\n\n{_table(['Wear band', 'GEOMETRY_MISMATCH'], rows)}"


def _within(claim: Claim, band: str) -> bool:
    parsed = corpus.read_table(claim.table.path, claim.unit)
    machine = replace(corpus.machine(claim.unit), wear_band=Length.parse(band, corpus.MM))
    program = ProgramFacts(claim.program(with_header=True))
    report = verify(program, corpus.facts_of(parsed, machine), NOW)
    return report.verdicts[0].code is VerdictCode.OK


def _seen_table(tally: Tally) -> str:
    rows = []
    for mutation, words in MUTATIONS.items():
        cells = [_share(tally, world, mutation) for world in WORLDS]
        rows.append([words, *cells])
    return _table(["Mistake", *WORLDS.values()], rows)


def _share(tally: Tally, world: str, mutation: str) -> str:
    made, seen = tally.made[world, mutation], tally.seen[world, mutation]
    return f"{seen} of {made} ({100 * seen / made:.1f} %)" if made else "none made"


def _unseen_table(tally: Tally) -> str:
    rows = [
        [WORLDS[world], MUTATIONS[mutation], why, str(count)]
        for (world, mutation, why), count in sorted(tally.unseen.items())
    ]
    return _table(["", "Mistake", "Why", "Times"], rows)


if __name__ == "__main__":
    main()
