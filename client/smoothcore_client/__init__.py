"""Client of Smooth Core, the tool-data hub of a machine shop.

::

    async with AsyncClient("127.0.0.1:50051", api_key=key) as client:
        report = (await client.verify("op10.nc", machine="mill-1")).report
        print(report.headline)

`AsyncClient` is for asyncio, `Client` has the same methods without. Requests and resources are
the messages of ``smoothcore.v1``. Errors are drawn in `smoothcore_client._errors`.
"""

from smoothcore_client._adopt import Adoptable, find_adoptable
from smoothcore_client._backoff import Backoff
from smoothcore_client._channel import TLS, InsecureTransportError
from smoothcore_client._client import AsyncClient
from smoothcore_client._errors import (
    Aborted,
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    SmoothCoreError,
    TokenForeign,
    TokenTooOld,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from smoothcore_client._files import inline_table, table_file, table_format
from smoothcore_client._names import (
    api_key_name,
    entry_name,
    job_name,
    machine_name,
    program_name,
    program_pin_name,
    readiness_name,
    role_name,
    tool_name,
    tool_set_name,
    tool_type_name,
    user_name,
)
from smoothcore_client._paging import Pager
from smoothcore_client._session import SessionStore, SessionTokens
from smoothcore_client._sets import read_members
from smoothcore_client._status import error_from_rpc
from smoothcore_client._sync import Client, SyncPager, SyncWatch
from smoothcore_client._watch import Watch, WatchEvent, WatchEventKind

__all__ = [
    "TLS",
    "Aborted",
    "Adoptable",
    "AlreadyExists",
    "AsyncClient",
    "Backoff",
    "Client",
    "DeadlineExceeded",
    "FailedPrecondition",
    "FieldViolation",
    "InsecureTransportError",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "OutOfRange",
    "Pager",
    "PermissionDenied",
    "ResourceExhausted",
    "SessionStore",
    "SessionTokens",
    "SmoothCoreError",
    "SyncPager",
    "SyncWatch",
    "TokenForeign",
    "TokenTooOld",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Watch",
    "WatchEvent",
    "WatchEventKind",
    "api_key_name",
    "entry_name",
    "error_from_rpc",
    "find_adoptable",
    "inline_table",
    "job_name",
    "machine_name",
    "program_name",
    "program_pin_name",
    "read_members",
    "readiness_name",
    "role_name",
    "table_file",
    "table_format",
    "tool_name",
    "tool_set_name",
    "tool_type_name",
    "user_name",
]
