"""Who is calling, and whether they may call this at all.

What a call may do to a certain resource is decided in `app`; here it is the permission that the
method declares, and the machines that a credential is bound to.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from smoothcore_server.app.call import current_call
from smoothcore_server.app.security_events import Note
from smoothcore_server.domain.certificate import ClientCertificate
from smoothcore_server.domain.errors import (
    ErrorReason,
    PermissionDeniedError,
    UnauthenticatedError,
)
from smoothcore_server.domain.principal import Principal
from smoothcore_server.domain.security_event import SecurityEventKind
from smoothcore_server.transport.client_certificates import client_certificate
from smoothcore_server.transport.handlers import Around, Check, Invocation, Metadata, Proceed
from smoothcore_server.transport.interceptors.access import Access, find
from smoothcore_server.transport.methods import Method
from smoothcore_server.transport.resource_names import type_of

Authenticate: TypeAlias = Callable[[str], Awaitable[Principal]]
"""From the secret of a credential to its holder; raises UnauthenticatedError for a bad one."""

AuthenticateCertificate: TypeAlias = Callable[[ClientCertificate], Awaitable[Principal | None]]
"""From a certificate to the API key that it stands for, None for none; raises
UnauthenticatedError for one that works no more."""

OPERATOR = Principal("", "operator/smoothd", "the operator of this instance")
"""Who calls on the local socket: its file is the credential."""

PATIENCE_S = 0.5
"""Between the headers of a call and its message: as long as a credential is remembered."""
_HEADER = "authorization"
_MAX_TOKEN = 4_096
_MAX_SHOWN = 5
"""Names of a certificate, in an error."""
_HOW_TO = (
    'send it as metadata "authorization: Bearer sk_…"; '
    "`smoothd keys create` on the server makes one, or ask an administrator"
)


class Identity:
    """Turns a credential into a principal, and turns away who may not call the method."""

    name = "identity"

    def __init__(
        self,
        authenticate: Authenticate,
        access: Mapping[str, Access],
        *,
        note: Note,
        authenticate_certificate: AuthenticateCertificate | None = None,
        is_operators: bool = False,
    ) -> None:
        """``authenticate_certificate``: None where clients are asked for no certificate.
        ``is_operators``: this server listens on the operator's socket and nowhere else."""
        self._authenticate = authenticate
        self._authenticate_certificate = authenticate_certificate
        self._access = access
        self._note = note
        self._is_operators = is_operators

    def bind(self, method: Method) -> Around | None:
        """What the declared access of a method asks for."""
        if not method.is_known:
            return None
        access = find(self._access, method.path)
        if access is None:
            return _refuse_undeclared
        if access.public:
            return None
        if access.operator != self._is_operators:
            return _refuse_here
        return self._as_operator if access.operator else self._guard(access)

    def _guard(self, access: Access) -> Around:
        async def around(invocation: Invocation, proceed: Proceed) -> Any:
            principal = await self._identify(invocation)
            current_call.get().principal = principal
            if access.permission and not principal.may(access.permission):
                raise _lacks(principal, access.permission)
            invocation.add_check(self._message_check(access, invocation))
            if access.sensitive:
                # Before it is answered: what has begun to go out has gone out.
                self._note(SecurityEventKind.SENSITIVE_CALL)
            return await proceed(invocation)

        return around

    def _message_check(self, access: Access, invocation: Invocation) -> Check:
        """When a message comes: who was let in long before it is looked at again, since a call that
        is held open must not outlive its credential; then the machine that it names."""
        identified = time.monotonic()

        async def check(message: Any) -> None:
            call = current_call.get()
            if time.monotonic() - identified > PATIENCE_S:
                call.principal = await self._identify(invocation)
                if access.permission and not call.principal.may(access.permission):
                    raise _lacks(call.principal, access.permission)
            if access.machine_path and call.principal and call.principal.machines:
                _check_machine(access, call.principal, message)

        return check

    async def _identify(self, invocation: Invocation) -> Principal:
        find_holder = self._authenticate_certificate
        certificate = client_certificate(invocation.context) if find_holder else None
        if certificate is None or find_holder is None:
            return await self._authenticate(_token(invocation.metadata))
        if not _has_token(invocation.metadata):
            holder = await find_holder(certificate)
            if holder is None:
                raise _stands_for_nobody(certificate)
            return holder
        principal = await self._authenticate(_token(invocation.metadata))
        holder = await find_holder(certificate)
        if holder is not None and _whose(holder) != _whose(principal):
            # Whose credential it is stands in the security event: it may have been stolen.
            current_call.get().principal = principal
            raise _somebody_elses()
        return principal

    async def _as_operator(self, invocation: Invocation, proceed: Proceed) -> Any:
        current_call.get().principal = OPERATOR
        invocation.add_check(self._note_operator)
        return await proceed(invocation)

    async def _note_operator(self, message: Any) -> None:
        self._note(SecurityEventKind.OPERATOR_CALL, organization=_organization_in(message))


def _organization_in(message: Any) -> str:
    """The organization that a request of the operator names; empty where it names none, or where
    that is no name: the request has not been validated yet."""
    fields = message.DESCRIPTOR.fields_by_name
    named = message.organization if "organization" in fields else message
    name = str(getattr(named, "name", "") or getattr(message, "parent", ""))
    is_name = type_of(name) == "smoothcore.v1/Organization"
    return name.removeprefix("organizations/") if is_name else ""


async def _refuse_here(invocation: Invocation, _proceed: Proceed) -> Any:
    # A service is on the server that it belongs to; one that got to the other stays shut.
    raise PermissionDeniedError(
        ErrorReason.PERMISSION_DENIED,
        f"{invocation.method.path} is not served here: the operator's methods are on the local "
        "socket smoothd.sock, and only they",
    )


async def _refuse_undeclared(invocation: Invocation, _proceed: Proceed) -> Any:
    # The table is complete at start; a method added behind its back stays shut.
    raise PermissionDeniedError(
        ErrorReason.PERMISSION_DENIED,
        f"{invocation.method.path} does not declare who may call it, so nobody may",
    )


def _whose(principal: Principal) -> tuple[str, str]:
    return principal.organization, principal.name


def _has_token(metadata: Metadata) -> bool:
    return any(key == _HEADER for key, _ in metadata)


def _token(metadata: Metadata) -> str:
    """The secret in the metadata of a call."""
    values = [value for key, value in metadata if key == _HEADER]
    if not values:
        raise _missing(f"this call needs an API key: {_HOW_TO}")
    scheme, _, token = str(values[0]).partition(" ")
    token = token.strip()
    if len(values) > 1 or scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN:
        raise _missing(f"the metadata authorization is no API key: {_HOW_TO}")
    return token


def _missing(message: str) -> UnauthenticatedError:
    return UnauthenticatedError(ErrorReason.CREDENTIAL_MISSING, message)


def _stands_for_nobody(certificate: ClientCertificate) -> UnauthenticatedError:
    names = sorted(certificate.names)
    if not names:
        return _missing(
            "the client's certificate has no subject alternative name that can stand for an API "
            f"key (DNS without a wildcard, or URI); issue one that has, or {_HOW_TO}"
        )
    seen = ", ".join(name[:100] for name in names[:_MAX_SHOWN])
    seen += f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    return _missing(
        f"the client's certificate ({seen}) stands for no API key that works; an administrator "
        f"binds one with `smooth keys create --certificate-name {names[0][:100]}`, or {_HOW_TO}"
    )


def _somebody_elses() -> UnauthenticatedError:
    return UnauthenticatedError(
        ErrorReason.CREDENTIAL_INVALID,
        "the metadata authorization and the client's certificate name different holders; leave the "
        "authorization away, or use the certificate with its own key",
    )


def _check_machine(access: Access, principal: Principal, message: Any) -> None:
    name = _value_at(message, access.machine_path)
    if not name:
        return  # Validation says that it is missing, or the call names no machine.
    collection, _, rest = name.partition("/")
    machine = rest.partition("/")[0]
    if collection != "machines" or not principal.may_see_machine(machine):
        raise _bound_elsewhere(principal, access, name)


def _value_at(message: Any, path: tuple[str, ...]) -> str:
    for name in path:
        message = getattr(message, name)
    return str(message)


def _lacks(principal: Principal, permission: str) -> PermissionDeniedError:
    return PermissionDeniedError(
        ErrorReason.PERMISSION_DENIED,
        f"{_shown(principal)} lacks the permission {permission}; ask an administrator for it "
        "(AuthService.WhoAmI lists what this one may do)",
        metadata={"permission": permission},
    )


def _bound_elsewhere(principal: Principal, access: Access, name: str) -> PermissionDeniedError:
    field = ".".join(access.machine_path)
    return PermissionDeniedError(
        ErrorReason.PERMISSION_DENIED,
        f"{_shown(principal)} is bound to other machines and may not use {access.permission} on "
        f"{name[:100]} (field {field}); name one of its own machines (AuthService.WhoAmI lists "
        "them), or ask an administrator for this one",
        metadata={"permission": access.permission, "machine": name[:100]},
    )


def _shown(principal: Principal) -> str:
    if principal.name.startswith("users/"):
        return principal.name  # What they are called stays out of errors, which end up in logs.
    return f"the key {principal.display_name or principal.name}"
