"""The call that is being served: who makes it, which method, until when."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

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

    @property
    def short_method(self) -> str:
        """``ToolService.GetTool``."""
        service, _, method = self.method.rpartition("/")
        return f"{service.rpartition('.')[2]}.{method}"


current_call: ContextVar[Call] = ContextVar("current_call")


def caller() -> Principal:
    """The authenticated principal of the call being served."""
    principal = current_call.get().principal
    if principal is None:
        raise LookupError("a handler that needs a principal was reached without one")
    return principal
