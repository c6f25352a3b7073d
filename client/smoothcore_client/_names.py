"""Resource names, from what people write.

Every function takes a full name ("machines/mill-1") as it is, and completes a bare id ("mill-1").
"""

from __future__ import annotations

import re

_T_NUMBER = re.compile(r"[Tt](\d+(?:\.\d+)?)")
_PLAIN = re.compile(rb"[A-Za-z0-9._-]")


def machine_name(machine: str) -> str:
    """``mill-1`` -> ``machines/mill-1``."""
    return _in_collection("machines", machine)


def tool_name(tool: str) -> str:
    """``em-6`` -> ``tools/em-6``."""
    return _in_collection("tools", tool)


def tool_set_name(tool_set: str) -> str:
    """``job-7`` -> ``toolSets/job-7``."""
    return _in_collection("toolSets", tool_set)


def tool_type_name(tool_type: str) -> str:
    """``hoffmann-207380-6`` -> ``toolTypes/hoffmann-207380-6``."""
    return _in_collection("toolTypes", tool_type)


def api_key_name(key: str) -> str:
    """``0192…`` -> ``apiKeys/0192…``."""
    return _in_collection("apiKeys", key)


def user_name(user: str) -> str:
    """``0192…`` -> ``users/0192…``."""
    return _in_collection("users", user)


def session_name(session: str) -> str:
    """``0192…`` -> ``sessions/0192…``."""
    return _in_collection("sessions", session)


def role_name(role: str) -> str:
    """``operator`` -> ``roles/operator``."""
    return _in_collection("roles", role)


def program_name(program: str) -> str:
    """``9f86d0…`` -> ``programs/9f86d0…``."""
    return _in_collection("programs", program)


def program_pin_name(machine: str, program: str) -> str:
    """``mill-1``, ``9f86d0…`` -> ``machines/mill-1/programPins/9f86d0…``."""
    if "/programPins/" in program:
        return program
    return f"{machine_name(machine)}/programPins/{last_id(program)}"


def readiness_name(machine: str) -> str:
    """``mill-1`` -> ``machines/mill-1/readiness``."""
    return f"{machine_name(machine)}/readiness"


def job_name(machine: str, job: str) -> str:
    """``mill-1``, ``op10`` -> ``machines/mill-1/jobs/op10``."""
    return job if "/jobs/" in job else f"{machine_name(machine)}/jobs/{job}"


def entry_name(machine: str, address: str) -> str:
    """``mill-1``, ``T3`` -> ``machines/mill-1/toolTableEntries/3``.

    An address may be written as a control shows it: "T3", "5.1", "DRILL-8/2".
    """
    if "/toolTableEntries/" in address:
        return address
    return f"{machine_name(machine)}/toolTableEntries/{entry_id(address)}"


def entry_id(address: str) -> str:
    """The id of a row: its address, with each byte outside ``[A-Za-z0-9._-]`` as ``~XX``."""
    number = _T_NUMBER.fullmatch(address)
    raw = (number.group(1) if number else address).encode()
    return "".join(chr(byte) if _PLAIN.fullmatch(bytes([byte])) else f"~{byte:02X}" for byte in raw)


def last_id(name: str) -> str:
    """The last part of a resource name: ``tools/em-6`` -> ``em-6``."""
    return name.rpartition("/")[2]


def _in_collection(collection: str, name: str) -> str:
    return name if name.startswith(f"{collection}/") else f"{collection}/{name}"
