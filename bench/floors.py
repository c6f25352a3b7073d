"""The floors that are servers: `python -m bench.floors KIND …`, each a bare grpc.aio server.

- ``echo``: answers GetTool with a reply of the real size. No interceptor, no database.
- ``skeleton``: runs the SQL of GetTool, CreateTool, BatchCreateTools and PushToolTable through the
  same `Store` and engine, with values that were made beforehand. No interceptor, no validation, no
  domain, no conversion.
- ``fan-out``: sends bytes to all open streams when it is told to.
- ``replay``: sends the same messages to each stream that is opened.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import uvloop

from bench.skeleton import Skeleton
from smoothcore.v1 import tool_pb2, tool_service_pb2

WATCH = "/bench.FanOut/Watch"
TRIGGER = "/bench.FanOut/Trigger"
SWITCH_INTERVAL_S = 0.0002
"""As our server has it: both share a process with the threads of the store."""
OPEN = b"open"
"""The first message of a stream: it is open."""


class Echo:
    """Answers with what it was given."""

    def __init__(self, reply: bytes) -> None:
        self._reply = tool_pb2.Tool.FromString(reply)

    def handler(self) -> grpc.GenericRpcHandler:
        """GetTool, with its messages parsed and serialized as ours are."""
        get_tool = grpc.unary_unary_rpc_method_handler(
            self._get_tool,
            tool_service_pb2.GetToolRequest.FromString,
            tool_pb2.Tool.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(
            "smoothcore.v1.ToolService", {"GetTool": get_tool}
        )

    async def _get_tool(self, _request: object, _context: object) -> tool_pb2.Tool:
        return self._reply


class FanOut:
    """All streams wait for events, as watchers of a ring do, and write the same bytes."""

    def __init__(self) -> None:
        self._events: list[bytes] = []
        self._news = asyncio.Event()

    def handler(self) -> grpc.GenericRpcHandler:
        """Both methods; messages are bytes as they are."""
        return grpc.method_handlers_generic_handler(
            "bench.FanOut",
            {
                "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
                "Trigger": grpc.unary_unary_rpc_method_handler(self._trigger),
            },
        )

    async def _watch(self, _request: bytes, context: Any) -> None:
        place = len(self._events)
        await context.write(OPEN)
        while True:
            if place == len(self._events):
                await self._news.wait()
            await context.write(self._events[place])
            place += 1

    async def _trigger(self, request: bytes, _context: Any) -> bytes:
        """Gives the moment, in nanoseconds."""
        moment = time.time_ns()
        self._events.append(request)
        self._news.set()
        self._news = asyncio.Event()
        return str(moment).encode()


class Replay:
    """Each stream writes the same messages, one after the other, and ends."""

    def __init__(self, path: Path) -> None:
        self._messages: list[bytes] = pickle.loads(path.read_bytes())

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server needs."""
        return grpc.method_handlers_generic_handler(
            "bench.FanOut", {"Watch": grpc.unary_stream_rpc_method_handler(self._watch)}
        )

    async def _watch(self, _request: bytes, context: Any) -> None:
        for message in self._messages:
            await context.write(message)


async def _handlers(arguments: argparse.Namespace) -> list[grpc.GenericRpcHandler]:
    if arguments.kind == "echo":
        return [Echo(arguments.reply.read_bytes()).handler()]
    if arguments.kind == "replay":
        return [Replay(arguments.reply).handler()]
    if arguments.kind == "fan-out":
        return [FanOut().handler()]
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    skeleton = Skeleton(arguments.data_dir, arguments.database_url)
    await skeleton.prepare(arguments.tools, arguments.rows)
    return [skeleton.tools.handler(), skeleton.machines.handler()]


async def serve(arguments: argparse.Namespace) -> None:
    """Serve one kind until killed."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(await _handlers(arguments))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"address": f"127.0.0.1:{port}"}), flush=True)
    await server.wait_for_termination()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("echo", "skeleton", "fan-out", "replay"))
    parser.add_argument("--reply", type=Path, help="echo, replay: a file with what to answer")
    parser.add_argument("--data-dir", type=Path, help="skeleton: an empty folder")
    parser.add_argument("--database-url", default="", help="skeleton: an empty database")
    parser.add_argument("--tools", type=int, default=0, help="skeleton: tools to make")
    parser.add_argument("--rows", type=int, default=1, help="skeleton: rows of a table")
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
