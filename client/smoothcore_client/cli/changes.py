"""smooth watch, smooth changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer

from smoothcore.v1.change_service_pb2 import SnapshotItem
from smoothcore.v1.change_set_pb2 import ChangeSet, ResourceType
from smoothcore_client._errors import (
    InvalidArgument,
    SmoothCoreError,
    TokenForeign,
    TokenTooOld,
)
from smoothcore_client._watch import WatchEventKind
from smoothcore_client.cli.actors import Actors
from smoothcore_client.cli.change_lines import change_lines
from smoothcore_client.cli.diff import unpack
from smoothcore_client.cli.output import Styled, note
from smoothcore_client.cli.session import CommandError, Session, run
from smoothcore_client.cli.summary import summary
from smoothcore_client.cli.values import enum_option, since_option

MachineOption = Annotated[
    str, typer.Option("--machine", "-m", help="Only of this machine and what belongs to it.")
]
TypesOption = Annotated[
    list[int] | None,
    enum_option("--type", ResourceType, "Only changes of these; may be repeated."),
]


SinceOption = Annotated[
    object | None,
    since_option("--since", "Only what came behind this revision, or at this time or later."),
]


@dataclass(frozen=True, slots=True)
class Start:
    """Where a watch begins; with nothing said, now."""

    token: str = ""
    since: object | None = None
    """A revision, or a time."""
    snapshot: bool = False
    """With all that there is."""


NOW = Start()
_BLOCK = 100


def watch(
    ctx: typer.Context,
    machine: MachineOption = "",
    types: TypesOption = None,
    from_token: Annotated[
        str | None,
        typer.Option("--from-token", metavar="TOKEN", help="Go on behind this position."),
    ] = None,
    since: SinceOption = None,
    snapshot: Annotated[
        bool, typer.Option("--snapshot", help="Begin with all that there is.")
    ] = False,
    print_token: Annotated[
        bool,
        typer.Option("--print-token", help="On the way out, print the token on stdout, alone."),
    ] = False,
    latency: Annotated[
        bool, typer.Option("--latency", help="Tell the time from each commit to its arrival.")
    ] = False,
) -> None:
    """Follow every change as it is committed, until interrupted; reconnects by itself.

    One line per change: time, revision, who, what, and how it changed. With --json, one change
    set (or, of a snapshot, one resource) per line. On the way out, the token to go on from is told.

    Example: smooth watch --machine mill-1 --type readiness --since 2h

    Exit codes: 130 interrupted; 2 error.
    """
    if from_token == "":
        # A script whose variable is empty would miss what it means to go on with.
        raise CommandError("--from-token is empty; leave it out to begin with what comes now")
    if sum((from_token is not None, since is not None, snapshot)) > 1:
        raise CommandError("--from-token, --since and --snapshot exclude each other")

    async def work(session: Session) -> None:
        await follow(
            session,
            types=types or (),
            parent=machine,
            start=Start(from_token or "", since, snapshot),
            print_token=print_token,
            latency=latency,
        )

    run(ctx, work)


async def follow(
    session: Session,
    *,
    types: Sequence[int | str],
    parent: str,
    start: Start = NOW,
    print_token: bool = False,
    latency: bool = False,
) -> None:
    """Prints changes as they come, for ever."""
    # A wrong address or key is an error now, and no reason to reconnect.
    await session.client.whoami()
    actors = Actors(session.client)
    token, printed = start.token, 0
    if start.since is not None:
        token, printed = await _print_since(session, actors, types, parent, start.since)
    watch = session.client.watch(
        types=types,
        parent=parent,
        resume_token=token,
        snapshot_first=start.snapshot,
        relist=start.snapshot,
        on_disconnect=_tell_disconnect,
    )
    listening = refused = False
    try:
        async with watch:
            async for event in watch:
                if not listening:
                    listening = True
                    note(f"watching, from revision {event.revision}")
                if event.kind is WatchEventKind.SNAPSHOT_BEGIN and event.cause is not None:
                    note(f"{event.cause.message}; all that there is:")
                if event.item is not None:
                    _print_item(session, event.item, event.revision)
                if event.change_set is not None and event.revision > printed:
                    received = event.received_time if latency else None
                    await _print(session, actors, event.change_set, received=received)
                # Not before: what was interrupted while it was printed comes again.
                token = event.resume_token
    except (InvalidArgument, TokenForeign, TokenTooOld):
        refused = True
        raise
    finally:
        if token and print_token:
            print(token, flush=True)
        elif token and not refused:
            note(f"go on with: --from-token {token}")


async def _print_since(
    session: Session, actors: Actors, types: Sequence[int | str], parent: str, since: object
) -> tuple[str, int]:
    """Prints what came since; gives the token of the list, and the last revision printed: later
    pages may hold what was committed behind the token."""
    pager = session.client.list_changes(types=types, parent=parent, **_bounds(since))
    printed = 0
    async for change_sets in _blocks(pager):
        await _print_list(session, actors, change_sets)
        printed = change_sets[-1].revision
    return pager.resume_token, printed


async def _blocks(
    pager: AsyncIterator[ChangeSet], most: int | None = None
) -> AsyncIterator[list[ChangeSet]]:
    """The change sets of a list, ``most`` at most, some at a time: their actors are learned
    together."""
    block: list[ChangeSet] = []
    read = 0
    async for change_set in pager:
        block.append(change_set)
        read += 1
        if len(block) == _BLOCK or read == most:
            yield block
            block = []
        if read == most:
            return
    if block:
        yield block


async def _print_list(session: Session, actors: Actors, change_sets: list[ChangeSet]) -> None:
    if not session.out.json:
        await actors.learn(each.actor for each in change_sets if not each.client)
    for change_set in change_sets:
        await _print(session, actors, change_set, dated=True)


def _bounds(since: object | None) -> dict[str, Any]:
    if since is None:
        return {}
    return {"after_revision" if isinstance(since, int) else "start_time": since}


def list_changes(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Option("--name", help="Only of this resource, e.g. tools/em-6-0042.")
    ] = "",
    newest: Annotated[
        int, typer.Option("--newest", "-n", min=1, help="How many change sets, newest first.")
    ] = 20,
    machine: MachineOption = "",
    types: TypesOption = None,
    actor: Annotated[
        str, typer.Option("--actor", help="Only by this actor, e.g. apiKeys/0192....")
    ] = "",
    since: SinceOption = None,
) -> None:
    """List what was changed, by whom, newest first.

    Example: smooth changes --machine mill-1 --since 14:00

    Exit codes: 0 listed; 2 error.
    """

    async def work(session: Session) -> None:
        pager = session.client.list_changes(
            types=types or (),
            parent=machine,
            resource_name=name,
            actor=actor,
            newest_first=True,
            page_size=min(newest, 1000),
            **_bounds(since),
        )
        actors, printed = Actors(session.client), False
        async for change_sets in _blocks(pager, newest):
            await _print_list(session, actors, change_sets)
            printed = True
        if not printed and not session.out.json:
            note("no changes")

    run(ctx, work)


async def _print(
    session: Session,
    actors: Actors,
    change_set: ChangeSet,
    *,
    received: datetime | None = None,
    dated: bool = False,
) -> None:
    if session.out.json:
        session.out.object(change_set)
        return
    who = await actors.of(change_set)
    for cells in change_lines(change_set, who, received=received, dated=dated):
        session.out.line(*cells)


def _print_item(session: Session, item: SnapshotItem, revision: int) -> None:
    if session.out.json:
        session.out.object(item)
        return
    session.out.line(f"r{revision}", item.name, Styled("is", "dim"), summary(unpack(item.resource)))


def _tell_disconnect(error: SmoothCoreError, delay: float) -> None:
    note(f"{error.message}; connecting again in {delay:.1f} s")
