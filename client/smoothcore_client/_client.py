"""The asynchronous client."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime

from smoothcore.v1.auth_service_pb2 import (
    LoginRequest,
    LoginResponse,
    LogoutRequest,
    WhoAmIRequest,
    WhoAmIResponse,
)
from smoothcore.v1.binding_pb2 import Binding
from smoothcore.v1.binding_service_pb2 import BatchBindToolsRequest, BindToolRequest, MintFromRow
from smoothcore.v1.change_service_pb2 import WatchChangesRequest
from smoothcore.v1.change_set_pb2 import ResourceType
from smoothcore.v1.identity_service_pb2 import Actor, BatchGetActorsRequest
from smoothcore.v1.machine_service_pb2 import (
    ConfirmToolTableRequest,
    ConfirmToolTableResponse,
    PushMode,
    PushToolTableRequest,
    PushToolTableResponse,
)
from smoothcore.v1.program_pb2 import Program
from smoothcore.v1.program_pin_pb2 import ProgramPin
from smoothcore.v1.program_service_pb2 import (
    PinProgramToolsRequest,
    ProgramInfo,
    UnpinProgramToolsRequest,
    UploadProgramRequest,
)
from smoothcore.v1.tool_set_pb2 import ToolSetMember
from smoothcore.v1.tool_table_entry_pb2 import ToolTableEntry
from smoothcore.v1.verification_service_pb2 import (
    GetReadinessRequest,
    GetReadinessResponse,
    InlineProgram,
    InlineTable,
    VerifyProgramRequest,
    VerifyProgramResponse,
    VerifyToolSetRequest,
    VerifyToolSetResponse,
)
from smoothcore_client._adopt import Adoptable, find_adoptable, suggest_tool_id
from smoothcore_client._enums import enum_number
from smoothcore_client._errors import SmoothCoreError, Unauthenticated, Unavailable
from smoothcore_client._files import Source, Word, file_name, read_program, table_file
from smoothcore_client._lists import Lists
from smoothcore_client._names import (
    machine_name,
    program_name,
    program_pin_name,
    readiness_name,
    tool_set_name,
)
from smoothcore_client._session import SessionTokens
from smoothcore_client._sets import members_of
from smoothcore_client._watch import Watch

CHUNK_BYTES = 256 * 1024
INLINE_BYTES = 3 * 1024 * 1024
UPLOAD_DEADLINE = 600.0
UPLOAD_ATTEMPTS = 4
BATCH_SIZE = 1000
ACTORS_BATCH_SIZE = 100

_PROGRAM_NAME = re.compile(r"programs/[0-9a-f]{64}")


class AsyncClient(Lists):
    """A client of the service, for asyncio.

    ::

        async with AsyncClient("127.0.0.1:50051", api_key=key) as client:
            await client.push_table_file("mill-1", "tool.tbl")
            async for machine in client.list_machines():
                print(machine.name)

    The stubs of the services are ``auth``, ``identity``, ``machines``, ``tools``, ``tool_sets``,
    ``bindings``, ``programs``, ``jobs``, ``verification``, ``changes`` and ``audit``; the methods
    below do the main jobs with them. Machines are named in full ("machines/mill-1") or by their
    id ("mill-1"). Enums may be given as words ("mm", "snapshot") or numbers.
    """

    async def login(self, organization: str, email: str, password: str) -> LoginResponse:
        """Logs a user in: all calls from now on are theirs.

        The tokens are renewed before they expire, until the session ends by itself (then calls
        raise Unauthenticated, and it is time for another login). The password is not kept.

        Raises Unauthenticated when anything is wrong with it, and ResourceExhausted after too many
        attempts in vain: wait ``retry_after`` seconds.
        """
        if self._session is None:
            raise ValueError("this client has an API key; make one without to log in as a user")
        self._refuse_plaintext(has_credential=True)
        request = LoginRequest(organization=organization, email=email, password=password)
        reply = await self._public_auth.Login(request)
        if not reply.refresh_token:
            raise Unavailable("the answer to the login was lost; log in again")
        self._session.begin(SessionTokens.of(reply))
        return reply

    async def logout(self) -> None:
        """Ends the session, on every replica within a second, and forgets its tokens. One that is
        over already is forgotten."""
        if self._session is None or not self._session.is_open:
            return
        try:
            await self.auth.Logout(LogoutRequest())
        except Unauthenticated:
            pass
        finally:
            self._session.begin(None)

    @property
    def session_end_time(self) -> datetime | None:
        """When the session of the user who is logged in ends, however often it is renewed, by the
        server's clock; None where nobody is."""
        return self._session.end_time if self._session is not None else None

    async def whoami(self) -> WhoAmIResponse:
        """Who the server takes this client for, and what it may do."""
        return await self.auth.WhoAmI(WhoAmIRequest())

    async def actors(self, names: Sequence[str]) -> list[Actor]:
        """Who actors are, by a name for people: one for each of the names, in their order.

        Args:
            names: as they stand in the field ``actor`` of change sets, causes of verdicts and
                security events, e.g. "users/0192...", "apiKeys/0192...".

        The ``display_name`` is empty where there is none to show. Raises Unimplemented where the
        server is too old to tell.
        """
        found: list[Actor] = []
        for start in range(0, len(names), ACTORS_BATCH_SIZE):
            request = BatchGetActorsRequest(names=names[start : start + ACTORS_BATCH_SIZE])
            found.extend((await self.identity.BatchGetActors(request)).actors)
        return found

    async def push_table_file(
        self,
        machine: str,
        source: Source,
        *,
        mode: Word = "snapshot",
        format: Word | None = None,
        unit: Word | None = None,
        read_time: datetime | None = None,
        accept_large_change: bool = False,
    ) -> PushToolTableResponse:
        """Sends a machine's tool table file for the server to read and store.

        Args:
            machine: the machine.
            source: the file, or its bytes.
            mode: "snapshot" when the file is the whole table, which it usually is: rows that are
                not in it become missing. "merge" when it holds some of the rows.
            format: "linuxcnc-tbl" or "csv"; by the extension when absent.
            unit: "mm" or "in", where it is not the machine's.
            read_time: when the table was read from the control; now when absent.
            accept_large_change: store it although it would be held: somebody has looked at it.

        Returns what became of the push. Look at ``outcome``: a held push was not stored.
        """
        file = await asyncio.to_thread(table_file, source, format=format, unit=unit)
        request = PushToolTableRequest(
            parent=machine_name(machine),
            mode=enum_number(PushMode, mode),
            file=file,
            accept_large_change=accept_large_change,
        )
        if read_time is not None:
            request.read_time.FromDatetime(read_time)
        return await self.machines.PushToolTable(request)

    async def confirm_tool_table(
        self, machine: str, content_hash: str, *, read_time: datetime | None = None
    ) -> ConfirmToolTableResponse:
        """Says that a machine's tool table was read again and is the snapshot stored last.

        Args:
            machine: the machine.
            content_hash: of that snapshot, from the reply of its push; of a file also its SHA-256.
            read_time: when the table was read from the control; now when absent.

        Raises FailedPreconditionError with the reason TABLE_NOT_THE_SAME when it is another one:
        push the table then.
        """
        request = ConfirmToolTableRequest(parent=machine_name(machine), content_hash=content_hash)
        if read_time is not None:
            request.read_time.FromDatetime(read_time)
        return await self.machines.ConfirmToolTable(request)

    async def upload_program(
        self,
        source: Source,
        *,
        display_name: str = "",
        on_progress: Callable[[int, int], None] | None = None,
        deadline: float | None = UPLOAD_DEADLINE,
    ) -> Program:
        """Stores an NC program, and returns what it expects of the tools.

        Programs are named by their content: uploading one again returns the stored one, so a
        lost connection is simply tried again.

        Args:
            source: the file, or its bytes.
            display_name: name for people; the file's name when empty.
            on_progress: called with the bytes handed over so far, and those of the whole.
            deadline: seconds for each attempt.
        """
        content = await read_program(source)
        name = display_name or file_name(source)
        for attempt in range(UPLOAD_ATTEMPTS):
            parts = _upload_parts(name, content, on_progress)
            try:
                return await self.programs.UploadProgram(parts, timeout=deadline)
            except Unavailable as error:
                if attempt + 1 == UPLOAD_ATTEMPTS:
                    raise
                await asyncio.sleep(self._reconnect.delay(attempt, error.retry_after))
        raise AssertionError("unreachable")

    async def verify(
        self,
        program: Source,
        *,
        machine: str | None = None,
        table: InlineTable | None = None,
        tool_set: str = "",
    ) -> VerifyProgramResponse:
        """Says whether the tools in a table are those that a program expects.

        Args:
            program: a stored program by its name ("programs/9f86..."), a file, or its bytes. One
                that is larger than 3 MiB is uploaded first.
            machine: verify against the stored table of this machine;
            table: or against this one (see `inline_table`). One of the two is required.
            tool_set: a tool set that says which tools the numbers of the program are to be, as in
                a job that rests on both; against a machine only.
        """
        if (machine is None) == (table is None):
            raise ValueError("name either a machine or an inline table")
        request = VerifyProgramRequest(tool_set=tool_set and tool_set_name(tool_set))
        if machine is not None:
            request.machine = machine_name(machine)
        elif table is not None:
            request.inline_table.CopyFrom(table)
        if isinstance(program, str) and _PROGRAM_NAME.fullmatch(program):
            request.program = program
        else:
            await self._attach_program(request, program)
        return await self.verification.VerifyProgram(request)

    async def verify_tool_set(self, tool_set: str, machine: str) -> VerifyToolSetResponse:
        """Says whether the tools of a set are on their numbers in a machine's stored table."""
        request = VerifyToolSetRequest(
            tool_set=tool_set_name(tool_set), machine=machine_name(machine)
        )
        return await self.verification.VerifyToolSet(request)

    async def pin_program(self, machine: str, program: str) -> ProgramPin:
        """Says that what is bound on a machine now is what a stored program needs there.

        Raises FailedPreconditionError with the reason TOOLS_NOT_CONFIRMED when nobody has said
        for certain which tools the numbers are that it calls.
        """
        request = PinProgramToolsRequest(
            parent=machine_name(machine), program=program_name(program)
        )
        return await self.programs.PinProgramTools(request)

    async def unpin_program(self, machine: str, program: str) -> int:
        """Takes a pin back; gives the revision of that."""
        request = UnpinProgramToolsRequest(name=program_pin_name(machine, program))
        return (await self.programs.UnpinProgramTools(request)).revision

    async def bound_members(self, machine: str) -> list[ToolSetMember]:
        """Members for a tool set: the tools that a machine's rows are for certain, by number."""
        entries = await self.list_table_entries(machine).all()
        return members_of(entries, await self.list_bindings(machine).all())

    async def readiness(self, machine: str) -> GetReadinessResponse:
        """The standing verdict on a machine and its active job.

        Treat an error, and an answer older than its ``valid_for``, as not ready.
        """
        request = GetReadinessRequest(name=readiness_name(machine))
        return await self.verification.GetReadiness(request)

    async def adoptable(self, machine: str) -> Adoptable:
        """Which rows of a machine's table are bound to no tool and could be adopted."""
        entries = await self.list_table_entries(machine).all()
        bindings = await self.list_bindings(machine).all()
        return find_adoptable(entries, bindings)

    async def adopt(self, machine: str, entries: Sequence[ToolTableEntry]) -> list[Binding]:
        """Makes a tool from each of these rows and binds it there.

        Up to a thousand rows are adopted all or none.
        """
        parent = machine_name(machine)
        bindings: list[Binding] = []
        for start in range(0, len(entries), BATCH_SIZE):
            requests = [
                BindToolRequest(
                    parent=parent,
                    entry=entry.name,
                    from_row=MintFromRow(tool_id=suggest_tool_id(entry)),
                )
                for entry in entries[start : start + BATCH_SIZE]
            ]
            batch = BatchBindToolsRequest(parent=parent, requests=requests)
            bindings.extend((await self.bindings.BatchBindTools(batch)).bindings)
        return bindings

    def watch(
        self,
        *,
        types: Sequence[Word] = (),
        parent: str = "",
        resume_token: str = "",
        snapshot_first: bool = False,
        relist: bool = True,
        on_disconnect: Callable[[SmoothCoreError, float], None] | None = None,
    ) -> Watch:
        """Follows the change log: an endless iterator that reconnects by itself.

        Without a snapshot the first event is a progress: from there on nothing is missed. Store
        ``event.resume_token`` once an event is handled; a watch that is opened with it goes on
        behind it. To mirror what there is::

            async for event in client.watch(resume_token=stored, snapshot_first=True):
                if event.kind is WatchEventKind.SNAPSHOT_BEGIN:
                    seen = set()
                elif event.kind is WatchEventKind.SNAPSHOT_ITEM:
                    seen.add(event.item.name)
                    put(event.item.name, event.item.resource)
                elif event.kind is WatchEventKind.SNAPSHOT_END:
                    drop_all_but(seen)
                elif event.kind is WatchEventKind.CHANGES:
                    apply(event.change_set)
                store(event.resume_token)

        Who cannot keep ``seen`` across a restart stores no token between begin and end.

        Args:
            types: only changes of these, e.g. "readiness", "tool-table-entry"; all when empty.
            parent: only changes of this machine and what belongs to it.
            resume_token: go on behind this position; when empty, start now.
            snapshot_first: without a resume_token, begin with all that there is.
            relist: where the log no longer reaches back to the position, or has become another
                (a backup was restored), begin anew with a snapshot, told by SNAPSHOT_BEGIN with
                its ``cause``. When false, TokenTooOld and TokenForeign are raised.
            on_disconnect: called with the error and the seconds until the next attempt.
        """
        request = WatchChangesRequest(
            types=[enum_number(ResourceType, word) for word in types],
            parent=machine_name(parent) if parent else "",
        )

        def connect(position: str, snapshot: bool) -> object:
            request.resume_token = position
            request.snapshot_first = snapshot
            return self.changes.WatchChanges(request)

        return Watch(
            connect,
            resume_token,
            snapshot_first=snapshot_first,
            relist=relist,
            credential=self._credential,
            backoff=self._reconnect,
            on_disconnect=on_disconnect,
        )

    async def _attach_program(self, request: VerifyProgramRequest, source: Source) -> None:
        content = await read_program(source)
        name = file_name(source)
        if len(content) > INLINE_BYTES:
            request.program = (await self.upload_program(content, display_name=name)).name
        else:
            request.inline_program.CopyFrom(InlineProgram(content=content, display_name=name))


async def _upload_parts(
    name: str, content: bytes, on_progress: Callable[[int, int], None] | None
) -> AsyncIterator[UploadProgramRequest]:
    yield UploadProgramRequest(info=ProgramInfo(display_name=name))
    for start in range(0, len(content), CHUNK_BYTES):
        chunk = content[start : start + CHUNK_BYTES]
        yield UploadProgramRequest(chunk=chunk)
        if on_progress is not None:
            on_progress(start + len(chunk), len(content))
