"""The call of IdentityService that is about actors."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import identity_service_pb2
from smoothcore_server.api.messages import actor as message
from smoothcore_server.api.service import Service
from smoothcore_server.app import actors
from smoothcore_server.app.call import caller
from smoothcore_server.store.transaction import Reader


class ActorCalls(Service):
    """Actors: by a name for people."""

    async def BatchGetActors(
        self, request: identity_service_pb2.BatchGetActorsRequest, context: Any
    ) -> identity_service_pb2.BatchGetActorsResponse:
        asking = caller()

        def query(reader: Reader) -> identity_service_pb2.BatchGetActorsResponse:
            found = actors.find_actors(reader, request.names, asking)
            return identity_service_pb2.BatchGetActorsResponse(
                actors=map(message.to_message, found)
            )

        return await self.read(query)
