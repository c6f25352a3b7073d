"""From a client's certificate to the API key that it stands for."""

from __future__ import annotations

import dataclasses
from datetime import datetime

from sqlalchemy import Connection

from smoothcore_server.app.api_keys import invalid_credential, principal_of_key
from smoothcore_server.app.brief_cache import BriefCache
from smoothcore_server.domain.certificate import ClientCertificate
from smoothcore_server.domain.errors import UnauthenticatedError
from smoothcore_server.domain.principal import Principal
from smoothcore_server.store import certificate_names
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader


class CertificateAuthenticator:
    """Recognizes certificates by their names; what was looked up is remembered for half a second.

    Whether a certificate is genuine and in time was decided in the TLS handshake.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cache: BriefCache[ClientCertificate, Principal | UnauthenticatedError | None]
        self._cache = BriefCache()

    async def __call__(self, certificate: ClientCertificate) -> Principal | None:
        """The principal of a certificate; None for one whose names stand for no key.

        Raises UnauthenticatedError for one that works no more.
        """
        found = await self._cache.get(certificate, self._look_up)
        if isinstance(found, UnauthenticatedError):
            # A new one each time: a traceback would grow with every raise.
            raise UnauthenticatedError(found.reason, found.message)
        if found is None:
            return None
        if found.expire_time is not None and found.expire_time <= self._store.clock():
            # A connection may be older than that: TLS looks only once.
            raise invalid_credential("the certificate, or the API key it stands for, has expired")
        return found

    async def _look_up(
        self, certificate: ClientCertificate
    ) -> Principal | UnauthenticatedError | None:
        return await self._store.run_read(lambda connection: self._query(connection, certificate))

    def _query(
        self, connection: Connection, certificate: ClientCertificate
    ) -> Principal | UnauthenticatedError | None:
        found = certificate_names.holders(connection, certificate.names)
        if not found:
            return None
        if len(found) > 1:
            return invalid_credential("the names of the certificate stand for several API keys")
        ((organization, key_id),) = found
        with Reader(connection, organization, self._store.clock()) as reader:
            try:
                principal = principal_of_key(reader, reader.api_keys.get(key_id))
            except UnauthenticatedError as error:
                return error
        return shown_by(principal, certificate.credential, certificate.expire_time)


def shown_by(principal: Principal, credential: str, end: datetime | None) -> Principal:
    """The principal of a key, for whom a certificate stands until its end."""
    ends = [each for each in (principal.expire_time, end) if each is not None]
    return dataclasses.replace(
        principal, credential=credential, expire_time=min(ends) if ends else None
    )
