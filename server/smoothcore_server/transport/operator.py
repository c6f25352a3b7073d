"""The operator's server: a unix socket that only the server's own user (and root) can open.

Its file is the credential. Nothing else is served there, and what is served there is nowhere else.
"""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry

from smoothcore_server.app.security_events import Note
from smoothcore_server.domain.principal import Principal
from smoothcore_server.transport.server import GrpcServer, Service
from smoothcore_server.transport.settings import ClassLimits, Limits, ServerSettings

_HOUR_S = 3_600.0


def operator_server(path: Path, service: Service, *, reflection: bool, note: Note) -> GrpcServer:
    """A server for the operator alone. Raises ListenError."""
    # A backup takes as long as it takes.
    calls = ClassLimits(
        process=64, principal=64, default_deadline_s=_HOUR_S, max_deadline_s=_HOUR_S
    )
    return GrpcServer(
        ServerSettings(listen=(f"unix:{path}",), reflection=reflection, limits=Limits(unary=calls)),
        [service],
        authenticate=_nobody,
        # Its calls are not what the server is measured by.
        registry=CollectorRegistry(),
        note=note,
        is_operators=True,
    )


async def _nobody(_token: str) -> Principal:
    raise LookupError("the operator's socket takes no credentials")
