"""Reports and readiness."""

from __future__ import annotations

from collections.abc import Mapping

from smoothcore.v1 import readiness_pb2, verification_report_pb2
from smoothcore_server.api.messages.machine import ASSURANCE
from smoothcore_server.api.messages.values import EnumMap, meta_fields, timestamp
from smoothcore_server.domain import verification as domain
from smoothcore_server.domain.change import ChangeSetHeader
from smoothcore_server.domain.readiness import Readiness, ReadinessState

REPORT_CODE = EnumMap(domain.ReportCode, verification_report_pb2.ReportCode, "REPORT_CODE")
VERDICT_CODE = EnumMap(domain.VerdictCode, verification_report_pb2.VerdictCode, "VERDICT_CODE")
UNVERIFIABLE = EnumMap(
    domain.UnverifiableReason, verification_report_pb2.UnverifiableReason, "UNVERIFIABLE_REASON"
)
NOTE = EnumMap(domain.Note, verification_report_pb2.VerdictNote, "VERDICT_NOTE")
SOURCE = EnumMap(domain.CompareSource, verification_report_pb2.CompareSource, "COMPARE_SOURCE")
READINESS_STATE = EnumMap(ReadinessState, readiness_pb2.ReadinessState, "READINESS_STATE")
MAX_LINES = 100

Causes = Mapping[int, ChangeSetHeader]


def cause_revisions(report: domain.Report) -> set[int]:
    """The revisions whose headers a message of this report shows."""
    return {verdict.cause_revision for verdict in report.verdicts if verdict.cause_revision}


def report_message(
    report: domain.Report, causes: Causes | None = None
) -> verification_report_pb2.VerificationReport:
    """A report, with who caused each verdict where ``causes`` knows."""
    return verification_report_pb2.VerificationReport(
        ready=report.ready,
        headline=report.headline,
        findings=[
            verification_report_pb2.ReportFinding(
                code=REPORT_CODE.value(finding.code),
                message=finding.message,
                next_step=finding.next_step,
                line=finding.line,
            )
            for finding in report.findings
        ],
        verdicts=[_verdict(verdict, causes or {}) for verdict in report.verdicts],
        stale_time=timestamp(report.stale_at),
    )


def _verdict(verdict: domain.Verdict, causes: Causes) -> verification_report_pb2.Verdict:
    reason = verdict.unverifiable_reason
    return verification_report_pb2.Verdict(
        tool_number=verdict.tool_number,
        code=VERDICT_CODE.value(verdict.code),
        message=verdict.message,
        next_step=verdict.next_step,
        unverifiable_reason=UNVERIFIABLE.value(reason),
        findings=[
            verification_report_pb2.VerdictFinding(
                code=VERDICT_CODE.value(finding.code),
                message=finding.message,
                next_step=finding.next_step,
            )
            for finding in verdict.findings
        ],
        compared=[_comparison(comparison) for comparison in verdict.compared],
        not_compared=[
            verification_report_pb2.NotCompared(field=item.field, reason=item.reason)
            for item in verdict.not_compared
        ],
        notes=[NOTE.value(note) for note in verdict.notes],
        assurance=ASSURANCE.value(verdict.assurance),
        program_lines=verdict.program_lines[:MAX_LINES],
        entry=verdict.entry_name,
        tool=verdict.tool_name,
        cause=_cause(verdict.cause_revision, causes),
    )


def _comparison(comparison: domain.Comparison) -> verification_report_pb2.Comparison:
    return verification_report_pb2.Comparison(
        field=comparison.field,
        expected=comparison.expected,
        found=comparison.found,
        agrees=comparison.agrees,
        source=SOURCE.value(comparison.source),
        source_name=comparison.source_name,
        read_time=timestamp(comparison.read_time),
        difference_mm=comparison.difference_mm,
        tolerance_mm=comparison.tolerance_mm,
    )


def _cause(revision: int, causes: Causes) -> verification_report_pb2.VerdictCause | None:
    if not revision:
        return None
    header = causes.get(revision)
    if header is None:
        return verification_report_pb2.VerdictCause(revision=revision)
    return verification_report_pb2.VerdictCause(
        revision=revision,
        time=timestamp(header.time),
        actor=header.actor,
        client=header.client,
        method=header.method,
    )


def readiness_message(
    readiness: Readiness, causes: Causes | None = None
) -> readiness_pb2.Readiness:
    """The message of a readiness."""
    machine = f"machines/{readiness.machine_id}"
    return readiness_pb2.Readiness(
        name=readiness.name,
        **meta_fields(readiness.meta),
        state=READINESS_STATE.value(readiness.state),
        job=f"{machine}/jobs/{readiness.job_id}" if readiness.job_id else "",
        program=f"programs/{readiness.program_id}" if readiness.program_id else "",
        program_display_name=readiness.program_display_name,
        report=report_message(readiness.report, causes),
        tool_set=f"toolSets/{readiness.tool_set_id}" if readiness.tool_set_id else "",
    )
