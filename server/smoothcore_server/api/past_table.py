"""Tool tables as the hub knew them at an earlier time."""

from __future__ import annotations

from smoothcore.v1 import machine_service_pb2, tool_table_entry_pb2
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages.values import moment_from
from smoothcore_server.api.paging import page_size
from smoothcore_server.api.service import Service, fitting, page_message
from smoothcore_server.app import past
from smoothcore_server.app.call import caller
from smoothcore_server.domain.errors import invalid_field
from smoothcore_server.store.transaction import Reader


def get_entry(
    reader: Reader, request: machine_service_pb2.GetToolTableEntryRequest
) -> tool_table_entry_pb2.ToolTableEntry:
    """A row as of the request's read_time."""
    machine_id, address = names.address_of("name", request.name)
    revision = past.revision_at(reader, "read_time", moment_from(request.read_time))
    image = past.entry_at(reader, machine_id, address, revision).change.after
    return tool_table_entry_pb2.ToolTableEntry.FromString(image or b"")


async def list_entries(
    service: Service, request: machine_service_pb2.ListToolTableEntriesRequest
) -> machine_service_pb2.ListToolTableEntriesResponse:
    """A page of the rows as of the request's read_time.

    Raises InvalidArgumentError where it has a filter or an order: those are of the current rows.
    """
    for field in ("filter", "order_by"):
        if getattr(request, field):
            raise invalid_field(field, "is not possible together with read_time; leave it empty")
    after = service.page_tokens.read(request)
    size = page_size(request.page_size)
    machine_id = names.last_id(request.parent)

    def query(reader: Reader) -> tuple[list[bytes], str, list[str] | None]:
        revision = past.revision_at(reader, "read_time", moment_from(request.read_time))
        found = past.entries_at(reader, machine_id, revision, after, size + 1)
        shown = fitting([image.change.after or b"" for image, _ in found[:size]])
        token = service.resume_token(reader, revision) if after is None else ""
        return shown, token, found[len(shown) - 1][1] if len(shown) < len(found) else None

    shown, resume_token, last = await service.store.read(caller().organization, query)
    return page_message(
        machine_service_pb2.ListToolTableEntriesResponse,
        "tool_table_entries",
        shown,
        resume_token=resume_token,
        next_page_token=service.page_tokens.make(request, last) if last is not None else "",
    )
