"""How errors are told: what is wrong, and what to do next, on stderr."""

from __future__ import annotations

import sys

import grpc

from smoothcore_client._channel import InsecureTransportError
from smoothcore_client._errors import SmoothCoreError
from smoothcore_client.cli.session import CommandError
from smoothcore_client.cli.wording import clean

_HINT_BY_REASON = {
    "CREDENTIAL_MISSING": "log in with: smooth login --server HOST:PORT (as a user, or "
    "with --key sk_...), or set SMOOTH_API_KEY",
    "CREDENTIAL_INVALID": "log in again with: smooth login (as a user, or with --key sk_...)",
    "PERMISSION_DENIED": "see who you are here, and what you may do, with: smooth whoami",
    "ETAG_MISMATCH": "read it again, and repeat the command if it is still right",
    "NO_ACTIVE_JOB": "activate one with: smooth jobs create MACHINE PROGRAM.nc --activate",
    "TOOL_ALREADY_BOUND": "if that is where it is now: smooth move TOOL MACHINE T",
    "ENTRY_ALREADY_BOUND": "bind it anew with --replace, or end the binding with smooth unbind",
    "TOKEN_TOO_OLD": "watch without --from-token, after looking at smooth changes",
    "TOKEN_FOREIGN": "watch without --from-token, after looking at smooth changes",
}

_HINT_BY_CODE = {
    grpc.StatusCode.UNAUTHENTICATED: "log in again with: smooth login",
    grpc.StatusCode.UNAVAILABLE: "is the server running there? Start one with smoothd serve, or "
    "name another with --server",
    grpc.StatusCode.DEADLINE_EXCEEDED: "wait longer with --timeout SECONDS",
    grpc.StatusCode.UNIMPLEMENTED: "the server is older than this command: update it",
}

_HINT_BY_WORDS_OF_GRPC = {
    "SSL": "does that server speak TLS? If not, leave --tls and --ca out; else name the authority "
    "of its certificate with --ca FILE",
    "security handshaker": "--ca names a file that holds no certificate (PEM)",
    "Socket closed": "the server hung up: if it speaks TLS, add --tls, or --ca FILE for your own "
    "authority; if it asks for certificates, --cert FILE --cert-key FILE",
}


def explain(error: Exception) -> list[str] | None:
    """The lines for an error that can happen to anybody; None for a fault of this program."""
    if isinstance(error, SmoothCoreError):
        return _explain_call(error)
    if isinstance(error, InsecureTransportError):
        return [
            "error: refusing to send the API key unencrypted to another computer",
            "next:  add --tls, or --ca FILE for your own authority; --insecure if you trust the "
            "network",
        ]
    if isinstance(error, CommandError):
        return _lines(str(error), error.hint)
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return _lines(f"{name}{error.strerror or error}", "")
    if isinstance(error, ValueError):
        return _lines(str(error), "")
    return None


def _explain_call(error: SmoothCoreError) -> list[str]:
    label = error.reason or error.code.name
    lines = _lines(f"{error.message} [{label}]", _hint(error))
    fields = [
        clean(f"       {violation.field}: {violation.description}")
        for violation in error.field_violations
        if violation.description not in error.message
    ]
    return [lines[0], *fields, *lines[1:]]


def _hint(error: SmoothCoreError) -> str:
    if error.code is grpc.StatusCode.UNAVAILABLE and not error.reason:
        for words, hint in _HINT_BY_WORDS_OF_GRPC.items():
            if words in error.message:
                return hint
    if error.reason in _HINT_BY_REASON:
        return _HINT_BY_REASON[error.reason]
    if not error.reason:
        return _HINT_BY_CODE.get(error.code, "")
    if error.reason == "RESOURCE_NOT_FOUND":
        return _where_to_look(error.resource_name)
    if error.code is grpc.StatusCode.INTERNAL and error.request_id:
        return f"report {error.request_id} to whoever runs the server"
    if error.retry_after is not None:
        return f"come back in {error.retry_after:g} s"
    return ""


def _where_to_look(name: str) -> str:
    """The command that lists what there is of the kind that was not found."""
    machine = name.removeprefix("machines/").partition("/")[0]
    for part, command in (
        ("/toolTableEntries/", f"table show {machine}"),
        ("/bindings/", f"bindings {machine}"),
        ("/jobs/", f"jobs list {machine}"),
        ("machines/", "machines list"),
        ("tools/", "tools list"),
        ("toolSets/", "sets list"),
        ("toolTypes/", "types list"),
        ("programs/", "programs list"),
        ("apiKeys/", "keys list"),
        ("users/", "users list"),
        ("roles/", "roles list"),
    ):
        if part in name:
            return f"see what there is with: smooth {command}"
    return ""


def _lines(message: str, hint: str) -> list[str]:
    return [clean(f"error: {message}"), *([clean(f"next:  {hint}")] if hint else [])]


def report(lines: list[str]) -> None:
    """Prints the lines on stderr."""
    for line in lines:
        print(line, file=sys.stderr)
