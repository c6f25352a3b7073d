"""ChangeService: the change feed and its history."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import change_service_pb2
from smoothcore.v1.change_service_pb2_grpc import ChangeServiceServicer
from smoothcore_server.api.messages import change_set as message
from smoothcore_server.api.messages import names
from smoothcore_server.api.paging import PageTokens, page_size
from smoothcore_server.api.service import Service
from smoothcore_server.api.watch import Watch, WatchSettings
from smoothcore_server.app.call import caller
from smoothcore_server.app.visibility import View, view_for
from smoothcore_server.domain.errors import invalid_field
from smoothcore_server.feed.tailer import Feed
from smoothcore_server.feed.tokens import ResumeTokens
from smoothcore_server.store import change_log
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader


class ChangeApi(Service, ChangeServiceServicer):
    """Servicer of ChangeService."""

    def __init__(
        self,
        store: Store,
        page_tokens: PageTokens,
        resume_tokens: ResumeTokens,
        feed: Feed,
        watch_settings: WatchSettings,
    ) -> None:
        super().__init__(store, page_tokens, resume_tokens)
        self._feed = feed
        self._watch_settings = watch_settings

    async def WatchChanges(  # type: ignore[override]
        self, request: change_service_pb2.WatchChangesRequest, context: Any
    ) -> None:
        view = _view(request)
        watch = Watch(self.store, self._feed, self.resume_tokens, view, self._watch_settings)
        await watch.run(caller().organization, request.resume_token, context.write)

    async def ListChanges(
        self, request: change_service_pb2.ListChangesRequest, context: Any
    ) -> change_service_pb2.ListChangesResponse:
        view = _view(request)
        after = self.page_tokens.read(request)
        size = page_size(request.page_size)

        def query(reader: Reader) -> tuple[change_service_pb2.ListChangesResponse, int | None]:
            revisions = change_log.matching_revisions(
                reader.connection,
                reader.organization,
                types=sorted(view.types, key=lambda item: item.value),
                machines=_machines_in_log(view),
                name=request.resource_name,
                after=_lower(request, after),
                before=after[0] if after and request.newest_first else None,
                newest_first=request.newest_first,
                limit=size + 1,
            )
            page, rest = revisions[:size], revisions[size:]
            found = change_log.read_revisions(reader.connection, reader.organization, page)
            response = change_service_pb2.ListChangesResponse(
                change_sets=[
                    message.to_message(
                        change_set.header,
                        [
                            change
                            for change in view.of(change_set)
                            if request.resource_name in ("", change.name)
                        ],
                    )
                    for change_set in found
                ]
            )
            if after is None:
                response.resume_token = self.resume_token(reader)
            return response, page[-1] if rest else None

        response, last = await self.store.read(caller().organization, query)
        if last is not None:
            response.next_page_token = self.page_tokens.make(request, [last])
        return response


def _view(request: Any) -> View:
    types = []
    for index, value in enumerate(request.types):
        member = message.RESOURCE_TYPE.member(value)
        if member is None:
            raise invalid_field(f"types[{index}]", "is no type of resource")
        types.append(member)
    return view_for(caller(), types, names.machine_of(request.parent))


def _machines_in_log(view: View) -> list[str] | None:
    """The machines that entries of the log may carry; the empty one is that of no machine."""
    if view.machines is None:
        return None
    return sorted(view.machines) if view.only_machine else ["", *sorted(view.machines)]


def _lower(request: change_service_pb2.ListChangesRequest, after: list[Any] | None) -> int:
    if after is None or request.newest_first:
        return request.after_revision
    return max(request.after_revision, int(after[0]))
