"""smooth watch, smooth changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from smoothcore.v1.change_set_pb2 import ChangeSet, ResourceType
from smoothcore_client._errors import SmoothCoreError
from smoothcore_client.cli.actors import Actors
from smoothcore_client.cli.change_lines import change_lines
from smoothcore_client.cli.output import note
from smoothcore_client.cli.session import Session, run
from smoothcore_client.cli.values import enum_option

MachineOption = Annotated[
    str, typer.Option("--machine", "-m", help="Only of this machine and what belongs to it.")
]
TypesOption = Annotated[
    list[int] | None,
    enum_option("--type", ResourceType, "Only changes of these; may be repeated."),
]


def watch(
    ctx: typer.Context,
    machine: MachineOption = "",
    types: TypesOption = None,
    from_token: Annotated[
        str, typer.Option("--from-token", metavar="TOKEN", help="Go on behind this position.")
    ] = "",
    latency: Annotated[
        bool, typer.Option("--latency", help="Tell the time from each commit to its arrival.")
    ] = False,
) -> None:
    """Follow every change as it is committed, until interrupted; reconnects by itself.

    One line per change: time, revision, who, what, and how it changed. With --json, one change
    set per line. On the way out, the token to go on from is told.

    Exit codes: 130 interrupted; 2 error.
    """

    async def work(session: Session) -> None:
        await follow(
            session, types=types or (), parent=machine, from_token=from_token, latency=latency
        )

    run(ctx, work)


async def follow(
    session: Session,
    *,
    types: Sequence[int | str],
    parent: str,
    from_token: str = "",
    latency: bool = False,
) -> None:
    """Prints changes as they come, for ever."""
    # A wrong address or key is an error now, and no reason to reconnect.
    await session.client.whoami()
    watch = session.client.watch(
        types=types, parent=parent, resume_token=from_token, on_disconnect=_tell_disconnect
    )
    actors = Actors(session.client)
    listening = False
    try:
        async with watch:
            async for event in watch:
                if not listening:
                    listening = True
                    note(f"watching, from revision {event.revision}")
                if event.change_set is not None:
                    received = event.received_time if latency else None
                    await _print(session, actors, event.change_set, received=received)
    finally:
        if watch.resume_token:
            note(f"go on with: --from-token {watch.resume_token}")


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
) -> None:
    """List what was changed, by whom, newest first.

    Exit codes: 0 listed; 2 error.
    """

    async def work(session: Session) -> None:
        pager = session.client.list_changes(
            types=types or (),
            parent=machine,
            resource_name=name,
            newest_first=True,
            page_size=min(newest, 1000),
        )
        actors = Actors(session.client)
        left = newest
        async for change_set in pager:
            await _print(session, actors, change_set, dated=True)
            left -= 1
            if not left:
                return
        if left == newest and not session.out.json:
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


def _tell_disconnect(error: SmoothCoreError, delay: float) -> None:
    note(f"{error.message}; connecting again in {delay:.1f} s")
