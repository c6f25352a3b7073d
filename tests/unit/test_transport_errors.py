"""Errors are packed small, and nothing of an exception is in them."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from google.rpc import error_details_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from smoothcore.v1 import error_reason_pb2
from smoothcore_server.domain import errors as domain_errors
from smoothcore_server.domain.errors import (
    ErrorReason,
    FieldViolation,
    InvalidArgumentError,
    NotFoundError,
    SmoothCoreError,
    UnavailableError,
    not_found,
)
from smoothcore_server.transport import errors

TEXT = st.text(max_size=3_000)


@settings(deadline=None, max_examples=50)
@given(
    message=TEXT,
    resource=TEXT,
    metadata=st.dictionaries(st.text(max_size=20), TEXT, max_size=30),
    violations=st.lists(st.builds(FieldViolation, TEXT, TEXT), max_size=30),
)
def test_every_status_fits_into_the_trailers(
    message: str, resource: str, metadata: dict[str, str], violations: list[FieldViolation]
) -> None:
    error = InvalidArgumentError(
        ErrorReason.INVALID_FIELD,
        message,
        resource=resource,
        metadata=metadata,
        violations=violations,
        retry_after_s=1.5,
    )
    status = errors.to_status(error, "0" * 32)
    assert status.ByteSize() <= errors.MAX_STATUS_BYTES
    assert len(quote(status.message)) <= errors.MAX_MESSAGE_BYTES


def test_the_fields_that_do_not_fit_are_counted() -> None:
    violations = [FieldViolation(f"rows[{i}]", "x" * 250) for i in range(50)]
    status = errors.to_status(
        InvalidArgumentError(ErrorReason.INVALID_FIELD, "bad", violations=violations), "1"
    )
    request = error_details_pb2.BadRequest()
    status.details[-1].Unpack(request)
    shown = len(request.field_violations) - 1
    assert shown > 10
    assert request.field_violations[-1].description == f"and {50 - shown} more"


def test_a_retry_delay_of_a_part_of_a_second_is_kept() -> None:
    error = UnavailableError(ErrorReason.DRAINING, "later", retry_after_s=0.25)
    retry = error_details_pb2.RetryInfo()
    packed = [each for each in errors.to_status(error, "1").details if each.Unpack(retry)]
    assert packed
    assert retry.retry_delay.ToMilliseconds() == 250


def test_the_id_of_the_call_cannot_be_claimed_by_an_error() -> None:
    error = NotFoundError(ErrorReason.RESOURCE_NOT_FOUND, "no", metadata={"request_id": "mine"})
    info = error_details_pb2.ErrorInfo()
    errors.to_status(error, "true").details[0].Unpack(info)
    assert info.metadata["request_id"] == "true"


def test_a_message_with_half_a_surrogate_is_packed() -> None:
    status = errors.to_status(not_found("tools/\ud800"), "1")
    assert "tools/" in status.message


def test_what_is_visible_of_an_exception_is_itself_only_when_it_is_ours() -> None:
    ours = not_found("tools/t7")
    assert errors.visible(ours, "1") is ours
    assert errors.visible(ExceptionGroup("g", [ours]), "1") is ours
    two = errors.visible(ExceptionGroup("g", [ours, KeyError("hunter2")]), "1")
    assert isinstance(two, errors.InternalError)
    assert "hunter2" not in two.message


@pytest.mark.parametrize(
    "kind", [each for each in vars(domain_errors).values() if isinstance(each, type)]
)
def test_every_error_of_the_domain_has_a_status_code(kind: type) -> None:
    if issubclass(kind, SmoothCoreError):
        assert errors.code_of(kind(ErrorReason.INTERNAL, "x")).name == kind.code


def test_every_reason_of_the_domain_is_documented_in_the_contract() -> None:
    names = [name for name, _ in error_reason_pb2.ErrorReason.items()]
    documented = {name.removeprefix("ERROR_REASON_") for name in names}
    assert {reason.value for reason in ErrorReason} == documented - {"UNSPECIFIED"}
