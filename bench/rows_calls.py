"""GetTool: its throughput, its latency, and what each layer of the chain costs."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from bench import shop
from bench.harness import Floor, Group, Pace, Row, at_least, interleave, percentile, row
from bench.http2 import Connection, Load, call
from bench.layers import HANDLER
from bench.servers import GET_TOOL, Child, Ours, cpu_s
from smoothcore.v1 import tool_pb2
from smoothcore_server.transport.interceptors.chain import ORDER

TOOLS = 1_000
IN_FLIGHT = "32 in flight"
CALLS_PER_TAKE = 400


class Target:
    """A server under a closed loop of GetTool calls."""

    def __init__(self, address: str, pid: int, token: str = "") -> None:
        self._load = Load(address, GET_TOOL, token)
        self._pid = pid
        self._requests = itertools.cycle(shop.get_tools(TOOLS))
        self.cpu_us: list[float] = []

    def take(self, seconds: float) -> float:
        """Calls per second; the CPU time per call is kept besides."""
        before = cpu_s(self._pid)
        rate = self._load.run(seconds, self._requests)
        self.cpu_us.append((cpu_s(self._pid) - before) / (rate * seconds) * 1e6)
        return rate


def throughput(pace: Pace, work: Path) -> Iterator[Row]:
    """GetTool with 32 in flight over 4 connections, API key and all layers included.

    Floors: *skeleton*, a bare server that does the same SQL through the same store; *bare echo*,
    one that answers at once. The load comes from `bench.http2`, so the servers are the limit.
    """
    with Ours(work) as ours:
        shop.fill_tools(ours, TOOLS)
        reply = work / "reply"
        reply.write_bytes(_one_reply(ours))
        arguments = ["--data-dir", str(work / "skeleton"), "--tools", str(TOOLS)]
        with (
            Child("floors", "skeleton", *arguments) as skeleton,
            Child("floors", "echo", "--reply", str(reply)) as echo,
        ):
            targets = [
                Target(ours.address, ours.pid, ours.token),
                Target(skeleton.address, skeleton.pid),
                Target(echo.address, echo.pid),
            ]
            for target in targets:
                target.take(0.3)
                target.cpu_us.clear()
            takes = interleave(
                pace.rounds, *[lambda t=target: t.take(pace.window_s) for target in targets]
            )
            yield row(
                "GetTool throughput",
                "calls/s",
                takes[0],
                Floor("skeleton", takes[1]),
                at_least(0.6),
                IN_FLIGHT,
            )
            yield row(
                "GetTool throughput, of a bare echo",
                "calls/s",
                takes[0],
                Floor("bare echo", takes[2]),
            )
            costs = [target.cpu_us for target in targets]
            yield row(
                "GetTool server CPU",
                "us/call",
                costs[0],
                Floor("skeleton", costs[1]),
                note=f"bare echo: {row('', '', costs[2]).ours:.0f} us/call",
            )
            yield from _latency(pace, ours, echo)


def _one_reply(ours: Ours) -> bytes:
    connection = Connection(ours.address, GET_TOOL, ours.token)
    return call(connection, shop.get_tools(1)[0])


def _latency(pace: Pace, ours: Ours, echo: Child) -> Iterator[Row]:
    """One call at a time with a grpc.aio client, which is part of what is measured."""
    takes = asyncio.run(_latencies(pace.rounds, (ours.address, ours.token), (echo.address, "")))
    for percent in (50, 99):
        values = [[percentile(take, percent) * 1e3 for take in each] for each in takes]
        yield row(
            f"GetTool latency p{percent}",
            "ms",
            values[0],
            Floor("bare echo", values[1]),
            note="one in flight, grpc.aio client" if percent == 50 else "",
        )


async def _latencies(rounds: int, *servers: tuple[str, str]) -> list[list[list[float]]]:
    channels = [grpc.aio.insecure_channel(address) for address, _ in servers]
    calls = [_caller(channel, token) for channel, (_, token) in zip(channels, servers, strict=True)]
    for one in calls:
        await one(CALLS_PER_TAKE // 4)
    takes: list[list[list[float]]] = [[] for _ in servers]
    for _ in range(rounds):
        for one, found in zip(calls, takes, strict=True):
            found.append(await one(CALLS_PER_TAKE))
    for channel in channels:
        await channel.close()
    return takes


def _caller(channel: Any, token: str) -> Any:
    requests = itertools.cycle(shop.get_tools(TOOLS))
    stub = channel.unary_unary(GET_TOOL, response_deserializer=tool_pb2.Tool.FromString)
    metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def calls(count: int) -> list[float]:
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            await stub(next(requests), metadata=metadata)
            seconds.append(time.perf_counter() - start)
        return seconds

    return calls


def layers(pace: Pace, work: Path) -> Iterator[Row]:
    """The median of what each layer of the chain takes of a GetTool call, one in flight.

    No floor: the layers are compared with each other, and with the handler that they surround.
    """
    with Child("layers", str(work / "data")) as server:
        connection = Connection(server.address, GET_TOOL, server.greeting["token"])
        _make_one_tool(server)
        request = shop.get_tools(1)[0]
        takes: dict[str, list[float]] = {}
        for _ in range(pace.rounds):
            for _ in range(CALLS_PER_TAKE):
                call(connection, request)
            for name, cost in server.ask().items():
                takes.setdefault(name, []).append(cost)
    for name in ORDER:
        if name in takes:
            yield row(f"layer cost: {name}", "us", takes[name])
    names = [name for name in takes if name != HANDLER]
    total = [sum(costs) for costs in zip(*(takes[name] for name in names), strict=True)]
    yield row("layer cost: all layers", "us", total, note="of a call that the key is cached for")
    yield row(
        "layer cost: (handler)", "us", takes[HANDLER], note="reading the request to the reply"
    )


def _make_one_tool(server: Child) -> None:
    path = GET_TOOL.replace("GetTool", "CreateTool")
    call(Connection(server.address, path, server.greeting["token"]), shop.create_tool(0))


GROUPS = (
    Group(
        (
            "GetTool throughput",
            "GetTool throughput, of a bare echo",
            "GetTool server CPU",
            "GetTool latency p50",
            "GetTool latency p99",
        ),
        throughput,
    ),
    Group(
        (
            *(f"layer cost: {name}" for name in ORDER),
            "layer cost: all layers",
            "layer cost: (handler)",
        ),
        layers,
    ),
)
