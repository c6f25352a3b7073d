"""The exceptions of the client, one per gRPC status code a caller can act on.

* SmoothCoreError
  + InvalidArgument         a field breaks its rule: mend the request
  + NotFound                no such resource in your organization
  + AlreadyExists           the chosen id is taken
  + FailedPrecondition      the state of the world does not allow it
    - TokenForeign          a resume token of another history or filter: list again
  + Aborted                 somebody else was faster: read, decide, send again
  + OutOfRange              asks for what is no longer kept
    - TokenTooOld           a resume token older than the feed keeps: list again
  + Unauthenticated         no credential, or a wrong one
  + PermissionDenied        the credential may not do this
  + ResourceExhausted       too much at once, or too large
  + Unavailable             nobody answers: retry with the same request_id
  + DeadlineExceeded        no answer in time: retry with the same request_id
  + Unimplemented           the server is older than this client
  + Internal                a fault of the server: report ``request_id``

Every other status is a plain SmoothCoreError. What was raised by gRPC itself is the
``__cause__``.
"""
# The names are those of the status codes; an "Error" behind each would say nothing.
# ruff: noqa: N818

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import grpc


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that breaks its rule."""

    field: str
    """Path in the request, e.g. ``machine.wear_band.unit``."""
    description: str
    """What is wrong with it."""


class SmoothCoreError(Exception):
    """Base of all errors that a call to the server can raise."""

    default_code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        field_violations: Sequence[FieldViolation] = (),
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
        resource_name: str = "",
        sent_request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        """One or two sentences for a person: what is wrong, and what to do next."""
        self.code = code or self.default_code
        """The gRPC status code."""
        self.reason = reason
        """Name of a value of ``smoothcore.v1.ErrorReason`` without its prefix; empty when the
        error did not come from the server but from the way to it."""
        self.field_violations = tuple(field_violations)
        """The fields that break their rules, for INVALID_ARGUMENT."""
        self.retry_after = retry_after
        """After how many seconds to come back, where the server said so."""
        self.metadata = dict(metadata or {})
        """More about the reason, e.g. ``permission`` or ``limit``."""
        self.resource_name = resource_name
        """The resource that the error is about, where the server named it."""
        self.sent_request_id = sent_request_id
        """The request_id the write was sent with: send it again to repeat the write safely."""

    @property
    def request_id(self) -> str:
        """The server's own id of the failed call: report it to whoever runs the server."""
        return self.metadata.get("request_id", "")

    def __str__(self) -> str:
        label = f"{self.code.name} / {self.reason}" if self.reason else self.code.name
        return f"{label}: {self.message}"


class InvalidArgument(SmoothCoreError):
    """The request is wrong, whatever the state of the world."""

    default_code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(SmoothCoreError):
    """No such resource in the caller's organization."""

    default_code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(SmoothCoreError):
    """The chosen id is taken."""

    default_code = grpc.StatusCode.ALREADY_EXISTS


class FailedPrecondition(SmoothCoreError):
    """The state of the world does not allow the call."""

    default_code = grpc.StatusCode.FAILED_PRECONDITION


class TokenForeign(FailedPrecondition):
    """The resume token belongs to another history of the database, or to another filter.

    List again, then watch from the ``resume_token`` of the list.
    """


class Aborted(SmoothCoreError):
    """The resource changed since its etag was read."""

    default_code = grpc.StatusCode.ABORTED


class OutOfRange(SmoothCoreError):
    """The call asks for what is no longer kept."""

    default_code = grpc.StatusCode.OUT_OF_RANGE


class TokenTooOld(OutOfRange):
    """The resume token is older than the feed keeps.

    List again, then watch from the ``resume_token`` of the list.
    """


class Unauthenticated(SmoothCoreError):
    """The call carries no credential, or one that is wrong, revoked or expired."""

    default_code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDenied(SmoothCoreError):
    """The credential may not do this."""

    default_code = grpc.StatusCode.PERMISSION_DENIED


class ResourceExhausted(SmoothCoreError):
    """Too many calls at once, or something larger than the limit."""

    default_code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unavailable(SmoothCoreError):
    """Nobody answers, or the server is going away."""

    default_code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(SmoothCoreError):
    """No answer in time. What was written is written: repeat with the same request_id."""

    default_code = grpc.StatusCode.DEADLINE_EXCEEDED


class Unimplemented(SmoothCoreError):
    """The server has no such method: it is older than this client."""

    default_code = grpc.StatusCode.UNIMPLEMENTED


class Internal(SmoothCoreError):
    """A fault of the server."""

    default_code = grpc.StatusCode.INTERNAL
