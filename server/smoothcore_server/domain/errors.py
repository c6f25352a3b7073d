"""Errors that callers can act on. Each knows its gRPC status; transport packs it, once.

Messages are written for the person with grpcurl: what is wrong, where, and what to do next. They
never hold exception texts, SQL or paths of the server.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import ClassVar

from smoothcore_server.domain.record import record


class ErrorReason(enum.Enum):
    """The values of `smoothcore.v1.ErrorReason`, which documents them."""

    INVALID_FIELD = "INVALID_FIELD"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    INVALID_PAGE_TOKEN = "INVALID_PAGE_TOKEN"  # noqa: S105
    RESOURCE_NOT_FOUND = "RESOURCE_NOT_FOUND"
    RESOURCE_EXISTS = "RESOURCE_EXISTS"
    ETAG_MISMATCH = "ETAG_MISMATCH"
    TOOL_ALREADY_BOUND = "TOOL_ALREADY_BOUND"
    ENTRY_ALREADY_BOUND = "ENTRY_ALREADY_BOUND"
    RESOURCE_IN_USE = "RESOURCE_IN_USE"
    WRONG_STATE = "WRONG_STATE"
    NO_ACTIVE_JOB = "NO_ACTIVE_JOB"
    CREDENTIAL_MISSING = "CREDENTIAL_MISSING"
    CREDENTIAL_INVALID = "CREDENTIAL_INVALID"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    TOO_MANY_CALLS = "TOO_MANY_CALLS"
    TOO_LARGE = "TOO_LARGE"
    DRAINING = "DRAINING"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    TOKEN_AHEAD = "TOKEN_AHEAD"  # noqa: S105
    TOKEN_TOO_OLD = "TOKEN_TOO_OLD"  # noqa: S105
    TOKEN_FOREIGN = "TOKEN_FOREIGN"  # noqa: S105
    TOKEN_INVALID = "TOKEN_INVALID"  # noqa: S105
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"
    METHOD_UNKNOWN = "METHOD_UNKNOWN"
    PROFILE_NOT_STATED = "PROFILE_NOT_STATED"
    EXTERNAL_ID_TAKEN = "EXTERNAL_ID_TAKEN"
    TOOLS_NOT_CONFIRMED = "TOOLS_NOT_CONFIRMED"
    ORGANIZATION_SUSPENDED = "ORGANIZATION_SUSPENDED"
    HEAD_FOREIGN = "HEAD_FOREIGN"
    TABLE_NOT_THE_SAME = "TABLE_NOT_THE_SAME"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"


@record(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that breaks its rule."""

    field: str
    """Path in the request, e.g. ``machine.wear_band.unit``."""
    description: str


class SmoothCoreError(Exception):
    """Base of all errors that reach a caller as they are."""

    code: ClassVar[str] = "INTERNAL"
    """Name of the gRPC status code."""

    def __init__(
        self,
        reason: ErrorReason,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        resource: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.resource = resource
        self.retry_after_s = retry_after_s


class InvalidArgumentError(SmoothCoreError):
    """The request is wrong, whatever the state of the world."""

    code = "INVALID_ARGUMENT"


class NotFoundError(SmoothCoreError):
    """No such resource in the caller's organization."""

    code = "NOT_FOUND"


class AlreadyExistsError(SmoothCoreError):
    """The chosen id is taken."""

    code = "ALREADY_EXISTS"


class AbortedError(SmoothCoreError):
    """Somebody else was faster."""

    code = "ABORTED"


class FailedPreconditionError(SmoothCoreError):
    """The state of the world does not allow it."""

    code = "FAILED_PRECONDITION"


class OutOfRangeError(SmoothCoreError):
    """Asks for what is no longer kept."""

    code = "OUT_OF_RANGE"


class UnauthenticatedError(SmoothCoreError):
    """No usable credential."""

    code = "UNAUTHENTICATED"


class PermissionDeniedError(SmoothCoreError):
    """The credential may not do this."""

    code = "PERMISSION_DENIED"


class ResourceExhaustedError(SmoothCoreError):
    """Too much at once."""

    code = "RESOURCE_EXHAUSTED"


class UnavailableError(SmoothCoreError):
    """Come back in a moment."""

    code = "UNAVAILABLE"


class DeadlineExceededError(SmoothCoreError):
    """The call's time is over."""

    code = "DEADLINE_EXCEEDED"


class UnimplementedError(SmoothCoreError):
    """This server has no such method."""

    code = "UNIMPLEMENTED"


def invalid_field(field: str, description: str) -> InvalidArgumentError:
    """The error for one field that breaks its rule."""
    return InvalidArgumentError(
        ErrorReason.INVALID_FIELD,
        f"{field}: {description}",
        violations=[FieldViolation(field, description)],
    )


def not_found(name: str) -> NotFoundError:
    """The error for a name that is nothing in the caller's organization."""
    return NotFoundError(
        ErrorReason.RESOURCE_NOT_FOUND,
        f"there is no {name}; check the name with a List call",
        resource=name,
        metadata={"name": name},
    )


def draining() -> UnavailableError:
    """How a stream ends when the server goes away."""
    return UnavailableError(
        ErrorReason.DRAINING,
        "the server is going away; connect again and resume with the last token",
        retry_after_s=1.0,
    )
