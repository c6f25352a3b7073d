"""What all services do alike: write once per request_id, read, list pages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message
from sqlalchemy import ColumnElement

from smoothcore_server.api.paging import PageTokens, page_size
from smoothcore_server.app.call import caller, current_call
from smoothcore_server.feed.tokens import Position, ResumeTokens
from smoothcore_server.store.idempotency import Idempotency
from smoothcore_server.store.listing import Listing
from smoothcore_server.store.noun import Noun, Resource
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Author, Reader, Transaction

V = TypeVar("V")
M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=Resource)


MAX_PAGE_BYTES = 2 * 2**20
"""Clients receive messages of up to 4 MB unless told otherwise: a page may hold fewer resources
than it was asked for (AIP-158)."""


class Service:
    """Base of the servicers."""

    def __init__(self, store: Store, page_tokens: PageTokens, resume_tokens: ResumeTokens) -> None:
        self.store = store
        self.page_tokens = page_tokens
        self.resume_tokens = resume_tokens

    async def write(
        self,
        request: Message,
        answer: type[M],
        use_case: Callable[[Transaction], V],
        reply: Callable[[V, int], M],
        kept: Callable[[M], M] | None = None,
    ) -> M:
        """Run a use case in a transaction of the caller's organization.

        ``reply`` makes the answer, of type ``answer``, from its result and the revision. With a
        request_id the answer is kept for repeats; ``kept`` takes out what must not be (secrets).
        """
        request_id: str = getattr(request, "request_id", "")
        idempotency = _idempotency(request, answer, kept) if request_id else None
        committed = await self.store.transact(author(request_id), use_case, reply, idempotency)
        return committed.value

    async def read(self, query: Callable[[Reader], M]) -> M:
        """Run a query on the caller's organization."""
        return await self.store.read(caller().organization, query)

    async def list(
        self,
        request: Any,
        response: type[M],
        field: str,
        noun: Noun[R],
        to_message: Callable[[R], Message],
        conditions: Callable[[Reader], Sequence[ColumnElement[bool]]] = lambda _reader: (),
        refine: Callable[[Reader, list[R]], list[R]] = lambda _reader, found: found,
    ) -> M:
        """One page of the resources of a noun that fulfil the request's filter, in its order.

        ``refine`` may replace the resources of a page, one for one.
        """
        after = self.page_tokens.read(request)
        size = page_size(request.page_size)
        listing = Listing.parse(noun, request.filter, request.order_by)
        organization = caller().organization

        def query(reader: Reader) -> tuple[M, list[Any] | None]:
            found = reader.of(noun).page(
                *conditions(reader), after=after, limit=size + 1, listing=listing
            )
            resources = refine(reader, [resource for resource, _ in found[:size]])
            messages = fitting([to_message(resource) for resource in resources])
            made = response(**{field: messages})
            if after is None:
                made.resume_token = self.resume_token(reader)  # type: ignore[attr-defined]
            shown = len(messages)
            return made, found[shown - 1][1] if shown < len(found) else None

        made, last = await self.store.read(organization, query)
        if last is not None:
            made.next_page_token = self.page_tokens.make(request, last)  # type: ignore[attr-defined]
        return made

    def resume_token(self, reader: Reader) -> str:
        """A token for the position that a reader reads at."""
        position = Position.at(reader.head.revision, reader.head.chain_hash)
        return self.resume_tokens.make(reader.organization, position)


def fitting(messages: Sequence[M]) -> Sequence[M]:
    """As many of these as fit into a page, and at least one."""
    used = 0
    for index, message in enumerate(messages):
        used += message.ByteSize()
        if used > MAX_PAGE_BYTES and index:
            return messages[:index]
    return messages


def author(request_id: str = "") -> Author:
    """Who the change set of this call is by: made from the credential, never from the request."""
    principal, call = caller(), current_call.get()
    return Author(
        organization=principal.organization,
        actor=principal.name,
        client=principal.client,
        method=call.short_method,
        request_id=request_id,
    )


def _idempotency(
    request: Message, answer: type[M], kept: Callable[[M], M] | None
) -> Idempotency[M]:
    content = request.SerializeToString(deterministic=True)

    def encode(made: M) -> bytes:
        return (kept(made) if kept else made).SerializeToString()

    return Idempotency(hashlib.sha256(content).digest(), encode, answer.FromString)
