"""What all services do alike: write once per request_id, read, list pages."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypedDict, TypeVar

from google.protobuf.message import Message
from sqlalchemy import ColumnElement

from smoothcore_server.api.kept_messages import KeptMessages, messages_of
from smoothcore_server.api.messages import names
from smoothcore_server.api.paging import PageTokens, page_size
from smoothcore_server.api.raw_messages import as_message, repeated, serialized
from smoothcore_server.app.call import caller, current_call
from smoothcore_server.domain.errors import ErrorReason, ResourceExhaustedError
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


MAX_REPLY_BYTES = 4 * 2**20
"""Of a batch, which has no pages."""


class Service:
    """Base of the servicers."""

    fingerprint_key = b""
    """Of the hash by which a repeated request is recognized. Secret where requests hold passwords:
    the hash is stored, and must not let anybody test a guess."""

    def __init__(self, store: Store, page_tokens: PageTokens, resume_tokens: ResumeTokens) -> None:
        self.store = store
        self.page_tokens = page_tokens
        self.resume_tokens = resume_tokens
        self._kept = KeptMessages()

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
        idempotency = self._idempotency(request, answer, kept) if request_id else None
        committed = await self.store.transact(author(request_id), use_case, reply, idempotency)
        return committed.value

    async def write_one(
        self, request: Message, answer: type[M], use_case: Callable[[Transaction], Resource]
    ) -> M:
        """Run a use case, and answer with the resource that it has written: with the image that the
        log keeps, which is made once."""
        return await self.write(
            request,
            answer,
            lambda tx: tx.image(use_case(tx)),
            lambda image, _revision: as_message(image, answer),
        )

    async def write_batch(
        self,
        request: Message,
        answer: type[M],
        field: str,
        use_case: Callable[[Transaction], Sequence[Resource]],
    ) -> M:
        """Run a use case, and answer with what it has written, in a field, and the revision.

        The messages are the images that the log keeps: they are made once.
        """
        return await self.write(
            request,
            answer,
            lambda tx: [tx.image(resource) for resource in use_case(tx)],
            lambda images, revision: batch_message(answer, field, images, revision=revision),
        )

    async def get_batch(
        self,
        answer: type[M],
        field: str,
        noun: Noun[R],
        resource_names: Iterable[str],
        to_message: Callable[[R], Message],
    ) -> M:
        """The messages of resources, in this order."""
        ids = [names.last_id(name) for name in resource_names]

        def query(reader: Reader) -> list[bytes]:
            found = reader.of(noun).get_many(ids)
            return [to_message(resource).SerializeToString() for resource in found]

        found = await self.store.read(caller().organization, query)
        return batch_message(answer, field, found)

    async def read(self, query: Callable[[Reader], M]) -> M:
        """Run a query on the caller's organization."""
        return await self.store.read(caller().organization, query)

    async def get(
        self, answer: type[M], noun: Noun[R], key: str, to_message: Callable[[R], M]
    ) -> M:
        """The message of a resource, which must be the same for every caller."""

        def query(reader: Reader) -> bytes:
            found = reader.of(noun)
            return messages_of(self._kept, found, noun, [found.version(key)], to_message)[0]

        return as_message(await self.store.read(caller().organization, query), answer)

    async def list(
        self,
        request: Any,
        response: type[M],
        field: str,
        noun: Noun[R],
        to_message: Callable[[R], Message],
        conditions: Callable[[Reader], Sequence[ColumnElement[bool]]] = lambda _reader: (),
        refine: Callable[[Reader, list[R]], list[R]] | None = None,
    ) -> M:
        """One page of the resources of a noun that fulfil the request's filter, in its order.

        ``to_message`` must make the same of a resource for every caller. ``refine`` may replace
        the resources of a page, one for one; without it their messages are kept.
        """
        after = self.page_tokens.read(request)
        size = page_size(request.page_size)
        listing = Listing.parse(noun, request.filter, request.order_by)

        def query(reader: Reader) -> tuple[list[bytes], str, list[Any] | None]:
            resources, where = reader.of(noun), conditions(reader)
            limits: _Limits = {"after": after, "limit": size + 1, "listing": listing}
            if refine is None and not noun.is_volatile:
                versions, keys = _parts(resources.version_page(*where, **limits))
                made = messages_of(self._kept, resources, noun, versions[:size], to_message)
            else:
                found, keys = _parts(resources.page(*where, **limits))
                refined = refine(reader, found[:size]) if refine else found[:size]
                made = [to_message(resource).SerializeToString() for resource in refined]
            shown = fitting(made)
            token = self.resume_token(reader) if after is None else ""
            return shown, token, keys[len(shown) - 1] if len(shown) < len(keys) else None

        shown, resume_token, last = await self.store.read(caller().organization, query)
        return page_message(
            response,
            field,
            shown,
            resume_token=resume_token,
            next_page_token=self.page_tokens.make(request, last) if last is not None else "",
        )

    def _idempotency(
        self, request: Message, answer: type[M], kept: Callable[[M], M] | None
    ) -> Idempotency[M]:
        content = request.SerializeToString(deterministic=True)

        def encode(made: M) -> bytes:
            return serialized(kept(made) if kept else made)

        fingerprint = hmac.digest(self.fingerprint_key, content, "sha256")
        return Idempotency(fingerprint, encode, answer.FromString)

    def resume_token(self, reader: Reader, revision: int | None = None) -> str:
        """A token for the position that a reader reads at, or for an earlier revision."""
        head = reader.head
        if revision is not None and revision != head.revision:
            header = reader.headers({revision})[revision]
            position = Position.at(revision, header.chain_hash)
        else:
            position = Position.at(head.revision, head.chain_hash)
        return self.resume_tokens.make(reader.organization, position)


class _Limits(TypedDict):
    """Which part of a list is a page."""

    after: Sequence[Any] | None
    limit: int
    listing: Listing


def _parts(page: Sequence[tuple[V, list[Any]]]) -> tuple[list[V], list[list[Any]]]:
    """What a page holds, and the keys to go on behind."""
    return [found for found, _ in page], [key for _, key in page]


def page_message(response: type[M], field: str, shown: list[bytes], **tokens: str) -> M:
    """The reply of a List: serialized resources as they are, and its tokens."""
    rest = response(**tokens)
    return as_message(repeated(response, field, shown) + rest.SerializeToString(), response)


def batch_message(response: type[M], field: str, found: list[bytes], **rest: int) -> M:
    """The reply of a batch: serialized resources as they are, and the rest.

    Raises ResourceExhaustedError for one that is larger than a client would take.
    """
    raw = repeated(response, field, found) + response(**rest).SerializeToString()
    if len(raw) > MAX_REPLY_BYTES:
        raise ResourceExhaustedError(
            ErrorReason.TOO_LARGE,
            f"the reply would have {len(raw):,} bytes, and at most {MAX_REPLY_BYTES:,} reach every "
            "client; send the batch in smaller parts",
            metadata={"limit": str(MAX_REPLY_BYTES)},
        )
    return as_message(raw, response)


def fitting(messages: list[bytes]) -> list[bytes]:
    """As many of these as fit into a page, and at least one."""
    used = 0
    for index, message in enumerate(messages):
        used += len(message)
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
