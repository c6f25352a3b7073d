"""What the commands of `smoothd` for the operator share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from google.protobuf import json_format
from google.protobuf.message import Message

from smoothcore.v1 import organization_pb2
from smoothcore_server.cli.common import run
from smoothcore_server.cli.operator_calls import Operator, open_operator
from smoothcore_server.config import Settings

T = TypeVar("T")
OrganizationOption = Annotated[str, typer.Option("--organization", help="Organization.")]


def operate(settings: Settings, work: Callable[[Operator], Awaitable[T]]) -> T:
    """Run the work of a command on the operator's way to the instance."""

    async def opened() -> T:
        async with open_operator(settings) as operator:
            return await work(operator)

    return run(opened())


def organization_line(found: organization_pb2.Organization) -> str:
    """An organization, as it is listed."""
    parts = [
        found.name,
        f"revision {found.revision}",
        f"feed from {found.feed_horizon}",
        f"history from {found.history_horizon}",
    ]
    parts += ["SUSPENDED"] if found.suspended else []
    limits = {
        "resources": found.max_resources,
        "streams": found.max_streams,
        "requests/min": found.max_requests_per_minute,
    }
    parts += [f"at most {count} {what}" for what, count in limits.items() if count]
    parts += [repr(found.display_name)] if found.display_name else []
    return "  ".join(parts)


def json_line(message: Message) -> str:
    """A message as JSON, with fields that have their default too."""
    return json_format.MessageToJson(
        message, indent=None, ensure_ascii=False, always_print_fields_with_no_presence=True
    )
