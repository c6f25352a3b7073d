"""The patterns of resource names, from the `google.api.resource` options of the protos."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from google.api import resource_pb2
from google.protobuf.descriptor import Descriptor, FileDescriptor

from smoothcore.v1 import (
    binding_service_pb2,
    change_service_pb2,
    identity_service_pb2,
    instance_service_pb2,
    job_service_pb2,
    machine_service_pb2,
    program_service_pb2,
    tool_service_pb2,
    tool_set_service_pb2,
    verification_service_pb2,
)

PACKAGE = "smoothcore.v1"

# Wide enough for ids that the server makes: UUIDs, hashes, and addresses escaped with "~".
# An address of 64 characters, each of up to four bytes that are escaped, has 768.
_ID = r"[A-Za-z0-9._~-]{1,768}"

_FILES: tuple[FileDescriptor, ...] = (
    binding_service_pb2.DESCRIPTOR,
    change_service_pb2.DESCRIPTOR,
    identity_service_pb2.DESCRIPTOR,
    instance_service_pb2.DESCRIPTOR,
    job_service_pb2.DESCRIPTOR,
    machine_service_pb2.DESCRIPTOR,
    program_service_pb2.DESCRIPTOR,
    tool_service_pb2.DESCRIPTOR,
    tool_set_service_pb2.DESCRIPTOR,
    verification_service_pb2.DESCRIPTOR,
)


@dataclass(frozen=True, slots=True)
class ResourcePattern:
    """How the names of one type of resource look."""

    type: str
    shown: str
    """For people: ``machines/{machine}``."""
    regex: re.Pattern[str]

    def matches(self, name: str) -> bool:
        """Whether a name has this form."""
        return self.regex.fullmatch(name) is not None


def pattern_of(message: Descriptor) -> ResourcePattern | None:
    """The pattern of a message that is a resource."""
    option = message.GetOptions().Extensions[resource_pb2.resource]
    if not option.pattern:
        return None
    return ResourcePattern(option.type, option.pattern[0], _compile(option.pattern[0]))


@cache
def patterns() -> dict[str, ResourcePattern]:
    """All patterns of the contract, by type."""
    found = (pattern_of(message) for message in _messages(_FILES))
    return {pattern.type: pattern for pattern in found if pattern}


def type_of(name: str) -> str:
    """The type of the resource that has this name; empty when none has such names."""
    return next((each.type for each in patterns().values() if each.matches(name)), "")


def _compile(pattern: str) -> re.Pattern[str]:
    segments = (_ID if part.startswith("{") else re.escape(part) for part in pattern.split("/"))
    return re.compile("/".join(segments), re.ASCII)


def _messages(files: Iterable[FileDescriptor]) -> Iterator[Descriptor]:
    seen: set[str] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file.name in seen or file.package != PACKAGE:
            continue
        seen.add(file.name)
        waiting.extend(file.dependencies)
        yield from file.message_types_by_name.values()
