"""JobService."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import job_pb2, job_service_pb2
from smoothcore.v1.job_service_pb2_grpc import JobServiceServicer
from smoothcore_server.api.messages import job as message
from smoothcore_server.api.messages import names
from smoothcore_server.api.service import Service
from smoothcore_server.app import jobs
from smoothcore_server.store import nouns


class JobApi(Service, JobServiceServicer):
    """Servicer of JobService."""

    async def CreateJob(
        self, request: job_service_pb2.CreateJobRequest, context: Any
    ) -> job_pb2.Job:
        job = message.from_message(request.job, names.last_id(request.parent), request.job_id)
        return await self.write(
            request,
            job_pb2.Job,
            lambda tx: jobs.create_job(tx, job),
            lambda made, _revision: message.to_message(made),
        )

    async def GetJob(self, request: job_service_pb2.GetJobRequest, context: Any) -> job_pb2.Job:
        machine_id, job_id = names.ids(request.name)
        return await self.read(
            lambda reader: message.to_message(reader.jobs.get(machine_id, job_id))
        )

    async def ListJobs(
        self, request: job_service_pb2.ListJobsRequest, context: Any
    ) -> job_service_pb2.ListJobsResponse:
        machine_id = names.last_id(request.parent)
        return await self.list(
            request,
            job_service_pb2.ListJobsResponse,
            "jobs",
            nouns.JOB,
            message.to_message,
            lambda reader: [reader.jobs.c.machine_id == reader.machines.get(machine_id).id],
        )

    async def ActivateJob(
        self, request: job_service_pb2.ActivateJobRequest, context: Any
    ) -> job_pb2.Job:
        machine_id, job_id = names.ids(request.name)
        return await self.write(
            request,
            job_pb2.Job,
            lambda tx: jobs.activate_job(tx, machine_id, job_id, request.etag),
            lambda made, _revision: message.to_message(made),
        )

    async def EndJob(self, request: job_service_pb2.EndJobRequest, context: Any) -> job_pb2.Job:
        machine_id, job_id = names.ids(request.name)
        return await self.write(
            request,
            job_pb2.Job,
            lambda tx: jobs.end_job(tx, machine_id, job_id, request.etag),
            lambda made, _revision: message.to_message(made),
        )
