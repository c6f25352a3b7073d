"""A verification report for the person at the machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from smoothcore.v1.machine_pb2 import Assurance
from smoothcore.v1.verification_report_pb2 import (
    CompareSource,
    Comparison,
    ReportCode,
    Verdict,
    VerdictCode,
    VerdictNote,
    VerificationReport,
)
from smoothcore_client._enums import enum_word
from smoothcore_client._names import last_id
from smoothcore_client.cli import wording
from smoothcore_client.cli.output import Cell, Output, Styled
from smoothcore_client.cli.summary import without_state

_SOFT = {
    VerdictCode.VERDICT_CODE_UNCONFIRMED,
    VerdictCode.VERDICT_CODE_UNVERIFIABLE,
    VerdictCode.VERDICT_CODE_MANUAL_CONFIRM,
    VerdictCode.VERDICT_CODE_SUSPECT,
}
_SOURCES = {
    CompareSource.COMPARE_SOURCE_REGISTER: "register",
    CompareSource.COMPARE_SOURCE_BOUND_TOOL: "tool",
}


def print_report(out: Output, report: VerificationReport, *, verbose: bool) -> None:
    """The headline, what is wrong with the whole, one row per tool, then the evidence."""
    out.line(headline(report))
    for finding in report.findings:
        code = wording.loud(enum_word(ReportCode, finding.code))
        line = f"line {finding.line}: " if finding.line else ""
        out.line(Styled(code, "red"), f"{line}{finding.message}", _arrow(finding.next_step))
    if report.verdicts:
        out.line("")
        out.table(("T", "VERDICT", "WHY", "WHAT TO DO"), verdict_rows(report.verdicts), "")
    if verbose and report.verdicts:
        out.line("")
        out.table(
            ("T", "COMPARED", "EXPECTED", "FOUND", "", "WHERE", "READ"),
            evidence_rows(report.verdicts),
            "nothing was compared",
        )


def headline(report: VerificationReport) -> Styled:
    """``READY  ...`` or ``NOT READY  ...``."""
    word = "READY" if report.ready else "NOT READY"
    told = without_state(report.headline, word)
    return Styled(f"{word}  {told}" if told else word, "bold green" if report.ready else "bold red")


def verdict_rows(verdicts: Iterable[Verdict]) -> Iterator[tuple[Cell, ...]]:
    """One row per tool number: number, verdict, why, what to do."""
    for verdict in verdicts:
        yield (
            f"T{verdict.tool_number}",
            verdict_cell(verdict),
            _why(verdict),
            verdict.next_step,
        )


def verdict_cell(verdict: Verdict) -> Styled:
    """The verdict's code, coloured by how bad it is."""
    word = wording.loud(enum_word(VerdictCode, verdict.code))
    if verdict.code == VerdictCode.VERDICT_CODE_OK:
        return Styled(word, "green")
    return Styled(word, "yellow" if verdict.code in _SOFT else "red")


def _why(verdict: Verdict) -> str:
    notes = [wording.loud(enum_word(VerdictNote, note)) for note in verdict.notes]
    if verdict.code == VerdictCode.VERDICT_CODE_OK and verdict.assurance:
        notes.insert(0, wording.loud(enum_word(Assurance, verdict.assurance)))
    others = dict.fromkeys(
        wording.loud(enum_word(VerdictCode, finding.code))
        for finding in verdict.findings
        if finding.code != verdict.code
    )
    if others:
        notes.append(f"also {', '.join(others)}")
    message = verdict.message.removeprefix(f"T{verdict.tool_number}: ")
    return f"{message} ({'; '.join(notes)})" if notes else message


def evidence_rows(verdicts: Iterable[Verdict]) -> Iterator[tuple[Cell, ...]]:
    """One row per field that was compared, or could not be."""
    for verdict in verdicts:
        number = f"T{verdict.tool_number}"
        for comparison in verdict.compared:
            yield (number, *_comparison(comparison))
        for missing in verdict.not_compared:
            yield (number, missing.field, "", "", Styled("not compared", "dim"), missing.reason, "")


def _comparison(comparison: Comparison) -> tuple[Cell, ...]:
    source = _SOURCES.get(comparison.source, "")
    read = wording.age(comparison.read_time) if comparison.HasField("read_time") else ""
    return (
        comparison.field,
        comparison.expected,
        comparison.found,
        Styled("agrees", "green") if comparison.agrees else Styled(_differs(comparison), "red"),
        f"{source} {last_id(comparison.source_name)}".strip(),
        read,
    )


def _differs(comparison: Comparison) -> str:
    if not comparison.HasField("difference_mm"):
        return "differs"
    allowed = f", allowed {comparison.tolerance_mm:g}" if comparison.tolerance_mm else ""
    return f"differs by {comparison.difference_mm:+.4g} mm{allowed}"


def _arrow(next_step: str) -> str:
    return f"-> {next_step}" if next_step else ""
