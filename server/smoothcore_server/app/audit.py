"""Audit of the change log: signed heads to keep outside, and the verification of the chain."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Connection

from smoothcore_server.domain.audit_head import AuditHead
from smoothcore_server.domain.errors import (
    ErrorReason,
    FailedPreconditionError,
    PermissionDeniedError,
    SmoothCoreError,
    invalid_field,
)
from smoothcore_server.domain.principal import Principal
from smoothcore_server.store import chain, change_log
from smoothcore_server.store.chain import Chain, Finding
from smoothcore_server.store.change_log import GENESIS
from smoothcore_server.store.root_key import Keys
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader


def refuse_bound(caller: Principal) -> None:
    """Raise PermissionDeniedError for a key that is bound to machines: the log is of all."""
    if caller.machines:
        raise PermissionDeniedError(
            ErrorReason.PERMISSION_DENIED,
            "your key is bound to machines, and the change log is that of the whole organization; "
            "ask an administrator for a key that is bound to none",
            metadata={"permission": "audit.read"},
        )


class HeadSigner:
    """Signs heads with Ed25519, so that whoever keeps one can check it without this server."""

    def __init__(self, keys: Keys) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(keys.audit_head)
        self.public_key = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, head: AuditHead) -> AuditHead:
        """The head with its signature."""
        return dataclasses.replace(head, signature=self._key.sign(head.signed_text))

    def is_ours(self, head: AuditHead) -> bool:
        """Whether this server, or one with the same root key, has signed a head."""
        try:
            self._key.public_key().verify(head.signature, head.signed_text)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification has come to."""

    verified_revision: int
    """From the first revision that was asked for to this one, all is as it was committed."""
    is_complete: bool
    """Whether there is nothing left to look at."""
    finding: Finding | None = None


class Auditor:
    """Verifies the change log of an organization."""

    def __init__(self, store: Store, keys: Keys, timeline: str) -> None:
        self._store = store
        self._key = keys.chain
        self._timeline = timeline
        self.signer = HeadSigner(keys)

    async def head(self, organization: str) -> AuditHead:
        """The head of the change log now, signed."""

        def query(reader: Reader) -> AuditHead:
            head = reader.head
            return AuditHead(
                organization, self._timeline, head.revision, head.chain_hash, reader.now
            )

        return self.signer.sign(await self._store.read(organization, query))

    async def verify(
        self,
        organization: str,
        *,
        first: int = 1,
        last: int | None = None,
        head: AuditHead | None = None,
        seconds: float,
    ) -> Verification:
        """Verify the change sets from ``first`` to ``last`` (None: the end), for up to some
        seconds, against a head that was exported earlier.

        It goes page by page, hashes off the event loop, and may be cancelled between two pages.
        Raises InvalidArgumentError or FailedPreconditionError for a head that cannot be compared.
        """
        end = time.monotonic() + seconds
        if head is not None:
            self._check_head(organization, head, first, last)
        under_way = await self._begin(organization, first, last)
        if under_way is None:
            return Verification(0, True, Finding(first - 1, "the header is missing"))
        known = {head.revision: head.chain_hash} if head is not None else {}
        if known.get(under_way.revision, under_way.chain_hash) != under_way.chain_hash:
            what = "the chain hash is another than in the exported head"
            return Verification(0, True, Finding(under_way.revision, what))
        while True:
            found = await self._page(organization, under_way, last, known)
            if found is not None:
                return found
            if time.monotonic() >= end:
                if under_way.doubt is not None:
                    return _found(under_way.revision, under_way.doubt)
                return Verification(under_way.revision, False)

    def _check_head(self, organization: str, head: AuditHead, first: int, last: int | None) -> None:
        if not self.signer.is_ours(head):
            raise invalid_field(
                "head", "was not signed by this server, or was changed since; send it as exported"
            )
        if (head.organization, head.timeline) != (organization, self._timeline):
            raise _foreign(head)
        if head.revision < first - 1 or (last is not None and head.revision > last):
            raise invalid_field(
                "head", f"is of revision {head.revision}, which is not among those to be verified"
            )

    async def _begin(self, organization: str, first: int, last: int | None) -> Chain | None:
        """A verification that begins at a revision; None where the one before it is missing."""
        before = first - 1

        def query(reader: Reader) -> Chain | None:
            if before > reader.head.revision:
                raise invalid_field(
                    "from_revision", f"is behind the head of the change log, {reader.head.revision}"
                )
            if last is not None and last > reader.head.revision:
                raise invalid_field(
                    "to_revision", f"is behind the head of the change log, {reader.head.revision}"
                )
            if not before:
                return Chain(self._key, organization, 0, GENESIS)
            header = change_log.headers(reader.connection, organization, [before]).get(before)
            if header is None:
                return None
            return Chain(self._key, organization, before, header.chain_hash)

        return await self._store.read(organization, query)

    async def _page(
        self, organization: str, under_way: Chain, last: int | None, known: dict[int, bytes]
    ) -> Verification | None:
        """Verify one page; gives the outcome when there is nothing more to do."""
        for limit in (chain.PAGE_CHANGE_SETS, 1):
            try:
                return await self._read_and_follow(organization, under_way, last, known, limit)
            except (ValueError, TypeError, OverflowError):
                # Somebody has put into a column what it cannot hold. One at a time it is found
                # where.
                continue
        what = "the change set cannot be read: a column holds what it never held"
        found = Finding(under_way.revision + 1, what)
        return Verification(under_way.revision, True, found)

    async def _read_and_follow(
        self,
        organization: str,
        under_way: Chain,
        last: int | None,
        known: dict[int, bytes],
        limit: int,
    ) -> Verification | None:
        after, until = under_way.revision, last if last is not None else 2**62

        def body(connection: Connection) -> chain.Page:
            return chain.read_page(connection, self._key, organization, after, until, limit)

        page = await self._store.run_read(body)
        finding = await asyncio.to_thread(under_way.follow, page, known)
        reached = under_way.revision
        if finding is not None:
            return _found(reached, finding)
        if reached == last or reached == page.newest[0] or not page.headers:
            finding = under_way.check_end(page) if last is None else None
            finding = finding or _unreached(reached, last, known) or under_way.doubt
            return _found(reached, finding)
        return None


def _found(reached: int, finding: Finding | None) -> Verification:
    if finding is not None:
        reached = max(0, min(reached, finding.revision - 1))
    return Verification(reached, True, finding)


def _unreached(reached: int, last: int | None, known: dict[int, bytes]) -> Finding | None:
    """What is missing behind the end of the log."""
    beyond = [revision for revision in known if revision > reached]
    if beyond:
        what = f"the header is missing: the exported head is of revision {beyond[0]}"
        return Finding(reached + 1, what)
    if last is not None and reached < last:
        return Finding(reached + 1, "the header is missing")
    return None


def _foreign(head: AuditHead) -> SmoothCoreError:
    return FailedPreconditionError(
        ErrorReason.HEAD_FOREIGN,
        f"the head is of organization {head.organization!r} in the history {head.timeline}; this "
        "log belongs to another (the database was restored since, or it is another database): "
        "verify it with a head that was exported of this one",
        metadata={"timeline": head.timeline, "organization": head.organization},
    )
