"""ChangeService: the change feed and its history."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import change_service_pb2
from smoothcore.v1.change_service_pb2_grpc import ChangeServiceServicer
from smoothcore_server.api.change_pages import Place, read_page
from smoothcore_server.api.messages import change_set as message
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages.values import moment_from
from smoothcore_server.api.paging import PageTokens, page_size
from smoothcore_server.api.service import Service
from smoothcore_server.api.watch import Source, Watch, WatchSettings
from smoothcore_server.api.watch_messages import WatchMessages
from smoothcore_server.app.call import caller
from smoothcore_server.app.ended_sessions import EndedSessions
from smoothcore_server.app.past import check_revision, resource_at, revision_at
from smoothcore_server.app.visibility import View, view_for
from smoothcore_server.domain.errors import invalid_field, not_found
from smoothcore_server.feed.tailer import Feed
from smoothcore_server.feed.tokens import ResumeTokens
from smoothcore_server.store import nouns
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
        ended_sessions: EndedSessions,
        watch_settings: WatchSettings,
    ) -> None:
        super().__init__(store, page_tokens, resume_tokens)
        messages = WatchMessages(resume_tokens, watch_settings.message_bytes)
        self._source = Source(store, feed, ended_sessions, resume_tokens, messages, watch_settings)

    async def WatchChanges(  # type: ignore[override]
        self, request: change_service_pb2.WatchChangesRequest, context: Any
    ) -> None:
        watch = Watch(self._source, caller(), _view(request), context.write)
        await watch.run(request.resume_token, snapshot_first=request.snapshot_first)

    async def ListChanges(
        self, request: change_service_pb2.ListChangesRequest, context: Any
    ) -> change_service_pb2.ListChangesResponse:
        view = _view(request)
        token = self.page_tokens.read(request)
        start = Place(*token) if token else None
        size = page_size(request.page_size)

        def query(reader: Reader) -> tuple[change_service_pb2.ListChangesResponse, Place | None]:
            page = read_page(reader, view, request, start, size)
            response = change_service_pb2.ListChangesResponse(change_sets=page.change_sets)
            if start is None:
                response.resume_token = self.resume_token(reader)
            return response, page.next

        response, rest = await self.store.read(caller().organization, query)
        if rest is not None:
            last = [rest.revision, rest.ordinal]
            response.next_page_token = self.page_tokens.make(request, last)
        return response

    async def GetResourceAt(
        self, request: change_service_pb2.GetResourceAtRequest, context: Any
    ) -> change_service_pb2.GetResourceAtResponse:
        view = _view_of(request.name)

        def query(reader: Reader) -> change_service_pb2.GetResourceAtResponse:
            revision = _revision_of(reader, request)
            image = resource_at(reader, view, request.name, revision)
            header = reader.headers({image.revision})[image.revision]
            return message.image_message(image, header, revision)

        return await self.read(query)


def _revision_of(reader: Reader, request: change_service_pb2.GetResourceAtRequest) -> int:
    if request.WhichOneof("at") == "time":
        return revision_at(reader, "time", moment_from(request.time))
    return check_revision(reader, "revision", request.revision)


def _view_of(name: str) -> View:
    """What the caller sees of the resources that have such names."""
    resource_type = nouns.type_of(name)
    if resource_type is None:
        raise not_found(name)
    return view_for(caller(), [resource_type], "")


def _view(request: Any) -> View:
    types = []
    for index, value in enumerate(request.types):
        member = message.RESOURCE_TYPE.member(value)
        if member is None:
            raise invalid_field(f"types[{index}]", "is no type of resource")
        types.append(member)
    return view_for(caller(), types, names.machine_of(request.parent))
