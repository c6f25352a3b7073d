"""The public API of the client: a name that comes or goes is a decision, written here."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import smoothcore_client

PUBLIC = """
    AsyncClient Client TLS Backoff InsecureTransportError
    SessionStore SessionTokens
    Pager SyncPager Watch SyncWatch WatchEvent WatchEventKind Adoptable
    SmoothCoreError Aborted AlreadyExists DeadlineExceeded FailedPrecondition Internal
    InvalidArgument NotFound OutOfRange PermissionDenied ResourceExhausted TokenForeign
    TokenTooOld Unauthenticated Unavailable Unimplemented FieldViolation error_from_rpc
    inline_table table_file table_format find_adoptable read_members
    api_key_name entry_name job_name machine_name program_name program_pin_name
    readiness_name role_name tool_name tool_set_name tool_type_name user_name
"""

ALLOWED = {
    *sys.stdlib_module_names,
    "google",
    "grpc",
    "grpc_status",
    "rich",
    "smoothcore",
    "smoothcore_client",
    "typer",
}


def test_the_public_names_are_these() -> None:
    assert sorted(smoothcore_client.__all__) == sorted(PUBLIC.split())
    for name in smoothcore_client.__all__:
        assert getattr(smoothcore_client, name).__doc__, f"{name} has no docstring"


def test_every_error_of_the_package_is_public() -> None:
    found: set[type] = {smoothcore_client.SmoothCoreError}
    while more := {child for kind in found for child in kind.__subclasses__()} - found:
        found |= more
    assert {kind.__name__ for kind in found} <= set(smoothcore_client.__all__)


def test_the_client_imports_nothing_of_the_server() -> None:
    folder = Path(smoothcore_client.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            roots = {name.partition(".")[0] for name in names}
            assert roots <= ALLOWED, f"{path.name} imports {roots - ALLOWED}"
