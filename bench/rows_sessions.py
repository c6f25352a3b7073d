"""Users: GetTool with the access token of a session, and what a storm of logins does to others."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

from bench import shop
from bench.harness import Floor, Group, Pace, Row, at_least, at_most, interleave, percentile, row
from bench.http2 import Connection, call
from bench.rows_calls import IN_FLIGHT, TOOLS, Target
from bench.servers import GET_TOOL, Child, Ours

USERS = 48
"""Who storm: each is right about the password, so that no lockout makes the storm a breeze."""
STORM_IN_FLIGHT = 24
"""More than may wait for a hash, so that some are turned away as well."""


def throughput(pace: Pace, work: Path) -> Iterator[Row]:
    """GetTool with 32 in flight, with the access token of a user and all layers included.

    Floor: *skeleton*, a bare server that does the same SQL through the same store.
    """
    with Ours(work) as ours:
        shop.fill_tools(ours, TOOLS)
        shop.fill_users(ours, 1)
        arguments = ["--data-dir", str(work / "skeleton"), "--tools", str(TOOLS)]
        with Child("floors", "skeleton", *arguments) as skeleton:
            targets = [
                Target(ours.address, ours.pid, shop.log_in(ours, 0)),
                Target(skeleton.address, skeleton.pid),
            ]
            for target in targets:
                target.take(0.3)
            takes = interleave(
                pace.rounds, *[lambda t=target: t.take(pace.window_s) for target in targets]
            )
            yield row(
                "GetTool throughput, with a session",
                "calls/s",
                takes[0],
                Floor("skeleton", takes[1]),
                at_least(0.55),
                IN_FLIGHT,
            )


def storm(pace: Pace, work: Path) -> Iterator[Row]:
    """GetTool with one in flight while logins keep the queue of passwords full.

    Floor: the same calls to the same server while nobody logs in.
    """
    with Ours(work) as ours:
        shop.fill_tools(ours, TOOLS)
        shop.fill_users(ours, USERS)
        connection = Connection(ours.address, GET_TOOL, ours.token)
        requests = itertools.cycle(shop.get_tools(TOOLS))

        def median_ms() -> float:
            end, seconds = time.perf_counter() + pace.window_s, []
            while time.perf_counter() < end:
                start = time.perf_counter()
                call(connection, next(requests))
                seconds.append(time.perf_counter() - start)
            return percentile(seconds, 50) * 1e3

        median_ms()
        stormy, calm, answered = [], [], []
        for _ in range(pace.rounds):
            calm.append(median_ms())
            with Child("login_storm", ours.address, str(USERS), str(STORM_IN_FLIGHT)) as logins:
                stormy.append(median_ms())
                answered.append(float(logins.ask()["logins_per_s"]))
        yield row(
            "GetTool median beside a login storm",
            "ms",
            stormy,
            Floor("no logins", calm),
            at_most(1.5),
            f"{row('', '', answered).ours:.0f} logins/s, one in flight",
        )


GROUPS = (
    Group(("GetTool throughput, with a session",), throughput),
    Group(("GetTool median beside a login storm",), storm),
)
