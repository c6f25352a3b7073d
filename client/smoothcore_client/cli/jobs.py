"""smooth jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from smoothcore.v1.job_pb2 import Job, JobState
from smoothcore.v1.job_service_pb2 import ActivateJobRequest, CreateJobRequest, EndJobRequest
from smoothcore_client._enums import enum_word
from smoothcore_client._errors import SmoothCoreError
from smoothcore_client._names import job_name, last_id, machine_name, tool_set_name
from smoothcore_client.cli import wording
from smoothcore_client.cli.machines import MachineArgument
from smoothcore_client.cli.output import Cell, Styled, note
from smoothcore_client.cli.programs import stored_program
from smoothcore_client.cli.report import headline
from smoothcore_client.cli.session import CommandError, Session, run
from smoothcore_client.cli.summary import summary

app = typer.Typer(
    no_args_is_help=True, help="Jobs: which program a machine runs, and with which tools."
)

JobArgument = Annotated[str, typer.Argument(help="The job, e.g. op10.")]


@app.command("create")
def create(
    ctx: typer.Context,
    machine: MachineArgument,
    program: Annotated[
        str, typer.Argument(metavar="PROGRAM", help="An NC file, or programs/ID of a stored one.")
    ] = "",
    tool_set: Annotated[
        str,
        typer.Option(metavar="SET", help="Which tools its numbers are to be; alone, all of them."),
    ] = "",
    job_id: Annotated[
        str, typer.Option("--id", help="Its id, e.g. op10; else one is chosen.")
    ] = "",
    name: Annotated[str, typer.Option(help="Name for people.")] = "",
    activate: Annotated[
        bool, typer.Option("--activate", help="Make it the active job at once.")
    ] = False,
) -> None:
    """Upload a program and plan it on a machine, with a tool set or as one alone.

    Example: smooth jobs create mill-1 bracket.nc --id op10 --activate

    Exit codes: 0 planned, and activated where asked for; 2 error.
    """
    if not program and not tool_set:
        raise CommandError(
            "name a program, a tool set, or both", f"smooth jobs create {machine} PROGRAM.nc"
        )

    async def work(session: Session) -> None:
        job = Job(
            display_name=name,
            program=await stored_program(session, program) if program else "",
            tool_set=tool_set_name(tool_set) if tool_set else "",
        )
        request = CreateJobRequest(parent=machine_name(machine), job_id=job_id, job=job)
        made = await session.client.jobs.CreateJob(request)
        if activate:
            made = await session.client.jobs.ActivateJob(ActivateJobRequest(name=made.name))
        await _tell(session, made)
        if not activate and not session.out.json:
            note(f"next: smooth jobs activate {machine} {last_id(made.name)}")

    run(ctx, work)


@app.command("activate")
def activate(ctx: typer.Context, machine: MachineArgument, job: JobArgument) -> None:
    """Make a job the active one of its machine; the one before it ends.

    Exit codes: 0 active; 2 error.
    """

    async def work(session: Session) -> None:
        request = ActivateJobRequest(name=job_name(machine, job))
        await _tell(session, await session.client.jobs.ActivateJob(request))

    run(ctx, work)


@app.command("end")
def end(ctx: typer.Context, machine: MachineArgument, job: JobArgument) -> None:
    """End a job.

    Exit codes: 0 ended; 2 error.
    """

    async def work(session: Session) -> None:
        request = EndJobRequest(name=job_name(machine, job))
        await _tell(session, await session.client.jobs.EndJob(request))

    run(ctx, work)


@app.command("list")
def list_jobs(ctx: typer.Context, machine: MachineArgument) -> None:
    """List the jobs of a machine.

    Exit codes: 0 listed; 2 error.
    """

    async def work(session: Session) -> None:
        jobs = await session.client.list_jobs(machine).all()
        if session.out.json:
            for job in jobs:
                session.out.object(job)
            return
        session.out.table(
            ("JOB", "NAME", "STATE", "PROGRAM", "TOOL SET", "ACTIVE SINCE", "ENDED"),
            (_row(job) for job in jobs),
            f"no jobs: smooth jobs create {machine} PROGRAM.nc",
        )

    run(ctx, work)


async def _tell(session: Session, job: Job) -> None:
    """The job, and what its activation means for the machine."""
    if session.out.json:
        session.out.object(job)
        return
    session.out.line(f"{job.name}: {summary(job)} (revision {job.revision})")
    if job.state != JobState.JOB_STATE_ACTIVE:
        return
    machine = last_id(job.name.partition("/jobs/")[0])
    try:
        reply = await session.client.readiness(machine)
    except SmoothCoreError:
        # The key may plan jobs and not read readiness; the job stands in any case.
        return
    session.out.line(headline(reply.readiness.report))
    if not reply.readiness.report.ready:
        note(f"next: smooth why {machine}")


def _row(job: Job) -> tuple[Cell, ...]:
    active = job.state == JobState.JOB_STATE_ACTIVE
    word = enum_word(JobState, job.state)
    return (
        last_id(job.name),
        job.display_name,
        Styled(word, "bold green") if active else word,
        last_id(job.program)[:12],
        last_id(job.tool_set),
        wording.moment(job.activate_time) if job.HasField("activate_time") else "",
        wording.moment(job.end_time) if job.HasField("end_time") else "",
    )
