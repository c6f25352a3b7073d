"""Who changed what, when: the change behind each verdict."""

from __future__ import annotations

from collections.abc import Iterable

from smoothcore.v1.change_set_pb2 import ChangeKind, ChangeSet
from smoothcore.v1.verification_report_pb2 import Verdict, VerdictCode
from smoothcore_client._enums import enum_word
from smoothcore_client._errors import SmoothCoreError
from smoothcore_client._names import entry_id
from smoothcore_client.cli import wording
from smoothcore_client.cli.actors import Actors
from smoothcore_client.cli.change_lines import what_changed
from smoothcore_client.cli.output import Styled
from smoothcore_client.cli.session import Session

_MOST = 20


async def print_causes(session: Session, verdicts: Iterable[Verdict]) -> None:
    """For each verdict that is not OK: the newest change it rests on, as far as it may be read."""
    bad = [v for v in verdicts if v.code != VerdictCode.VERDICT_CODE_OK and v.HasField("cause")]
    if not bad:
        return
    session.out.line("")
    causes, actors = _Causes(session), Actors(session.client)
    shown = [(verdict, await causes.change_set(verdict.cause.revision)) for verdict in bad[:_MOST]]
    await actors.learn(each.cause.actor for each, _ in shown if not each.cause.client)
    for verdict, change_set in shown:
        cause = verdict.cause
        who = await actors.of(change_set or cause)
        session.out.line(
            Styled(f"T{verdict.tool_number}", "bold"),
            f"rests on revision {cause.revision}, {wording.age(cause.time)} "
            f"({wording.moment(cause.time)}), by {who} with {cause.method}",
        )
        for line in _lines(verdict, change_set):
            session.out.line("   ", line)


def _lines(verdict: Verdict, change_set: ChangeSet | None) -> list[str]:
    """What the cause of a verdict did to its entry and its tool."""
    if change_set is None:
        return []
    about = {verdict.entry, verdict.tool} - {""}
    row = f"/toolTableEntries/{entry_id(str(verdict.tool_number))}"
    told: list[str] = []
    for change in change_set.changes:
        if change.name in about or (not about and change.name.endswith(row)):
            what = what_changed(change)
            text = what.text if isinstance(what, Styled) else what
            kind = enum_word(ChangeKind, change.kind)
            told.append(f"{change.name} {kind}: {text}")
    return told


class _Causes:
    """Reads change sets, each once."""

    def __init__(self, session: Session) -> None:
        self._client = session.client
        self._change_sets: dict[int, ChangeSet | None] = {}

    async def change_set(self, revision: int) -> ChangeSet | None:
        """That of a revision, as far as it may be read."""
        if revision not in self._change_sets:
            self._change_sets[revision] = await self._read(revision)
        return self._change_sets[revision]

    async def _read(self, revision: int) -> ChangeSet | None:
        pager = self._client.list_changes(after_revision=revision - 1, page_size=1)
        try:
            found = await anext(pager, None)
        except SmoothCoreError:
            # The key may not read the log, or the log no longer goes back so far.
            return None
        return found if found is not None and found.revision == revision else None
