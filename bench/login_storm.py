"""Logins without a pause, from a process of their own: `python -m bench.login_storm ADDRESS …`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time

import grpc

from bench import shop
from smoothcore.v1 import auth_service_pb2_grpc


class Storm:
    """As many logins at once as are wanted, each followed by the next."""

    def __init__(self, address: str, users: int) -> None:
        self._channel = grpc.aio.insecure_channel(address)
        self._stub = auth_service_pb2_grpc.AuthServiceStub(self._channel)
        self._users = users
        self.succeeded = 0
        self.is_over = False

    async def blow(self, number: int, step: int) -> None:
        """Log users in until it is over; who is turned away comes again a little later."""
        while not self.is_over:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self._stub.Login(shop.login(number % self._users))
                self.succeeded += 1
                number += step
                continue
            await asyncio.sleep(0.05)


async def main(address: str, users: int, in_flight: int) -> None:
    """Storm until the parent asks how many logins succeeded. Each is waited for: one that is cut
    off counts as an attempt in vain, and the server would lock this address out."""
    storm = Storm(address, users)
    tasks = [asyncio.create_task(storm.blow(number, in_flight)) for number in range(in_flight)]
    while not storm.succeeded:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    begin, before = time.monotonic(), storm.succeeded
    print(json.dumps({"storms": len(tasks)}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    rate = (storm.succeeded - before) / (time.monotonic() - begin)
    storm.is_over = True
    await asyncio.gather(*tasks)
    print(json.dumps({"logins_per_s": rate}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
