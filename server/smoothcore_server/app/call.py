"""The call that is being served: who makes it, which method, until when."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import unquote

from smoothcore_server.domain.principal import Principal


@dataclass(slots=True)
class Call:
    """Made by the boundary interceptor, filled in by those after it, read by handlers."""

    method: str
    """Full method name, e.g. ``/smoothcore.v1.ToolService/GetTool``."""
    trace_id: str
    """Id of this call in logs and in INTERNAL errors (not the caller's idempotency request_id)."""
    peer: str = ""
    principal: Principal | None = None
    labels: dict[str, str] = field(default_factory=dict)
    """More for the log line of the call."""
    is_noted: bool = False
    """Whether a security event was noted of it."""

    @property
    def address(self) -> str:
        """Where it comes from, as one caller is counted; empty for local sockets."""
        return network_of(address_of(self.peer))

    @property
    def short_method(self) -> str:
        """``ToolService.GetTool``."""
        service, _, method = self.method.rpartition("/")
        return f"{service.rpartition('.')[2]}.{method}"


def address_of(peer: str) -> str:
    """The address of a peer such as ``ipv4:10.0.0.7:51234``; empty for local sockets."""
    family, _, rest = peer.partition(":")
    if family not in ("ipv4", "ipv6"):
        return ""
    return unquote(rest).rpartition(":")[0]


@lru_cache(maxsize=1_024)
def network_of(address: str) -> str:
    """What is counted as one caller: an IPv4 address, or the /64 that an IPv6 host has of its
    own and could take 2^64 addresses from."""
    try:
        found = ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or ip_network((found, 64), strict=False).network_address)
    return str(found)


current_call: ContextVar[Call] = ContextVar("current_call")


def caller() -> Principal:
    """The authenticated principal of the call being served."""
    principal = current_call.get().principal
    if principal is None:
        raise LookupError("a handler that needs a principal was reached without one")
    return principal
