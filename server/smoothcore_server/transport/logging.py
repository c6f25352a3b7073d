"""Logs: structlog for our own lines and those of libraries, one format, no secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, Literal, TextIO, TypeAlias

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LogFormat: TypeAlias = Literal["json", "console"]

_HIDDEN = "***"
_SECRET_NAMES = re.compile(
    r"authorization|password|passwd|secret|token|api_?key|root_?key|cookie|dsn", re.IGNORECASE
)
_SECRETS = (
    # Our keys and refresh tokens.
    (re.compile(r"\b(sk|rt)_[A-Za-z0-9_\-.~+/=]+"), r"\1_" + _HIDDEN),
    # Signed tokens, of ours and of others: three parts, of which the first is a JSON object.
    (re.compile(r"\beyJ[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]*"), _HIDDEN),
    # postgresql://user:password@host
    (re.compile(r"(?i)\b([a-z][a-z0-9+.\-]*://[^\s:/@]*):[^\s@]*@"), r"\1:" + _HIDDEN + "@"),
    # A header that was printed, with its scheme or without.
    (
        re.compile(
            r"(?i)\b(authorization['\"]?\s*[=:]\s*['\"]?)(?:(?:bearer|basic)\s+)?[^\s'\",;]+"
        ),
        r"\1" + _HIDDEN,
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+(?!\*)[A-Za-z0-9_\-.~+/=]+"), r"\1 " + _HIDDEN),
    # password=..., "password": "..."
    (
        re.compile(r"(?i)\b((?:password|passwd|secret)['\"]?\s*[=:]\s*['\"]?)[^\s'\",;]+"),
        r"\1" + _HIDDEN,
    ),
)


_MARKS = ("sk_", "rt_", "eyj", "bearer", "basic", "://", "passw", "secret", "authorization")
"""Without one of these no pattern matches; looking for them first is ten times faster."""


def redact_text(text: str) -> str:
    """A text without the secrets in it."""
    if not _is_marked(text):
        return text
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _is_marked(text: str) -> bool:
    lowered = text.lower()
    # A loop and not any(): every log line passes here.
    for mark in _MARKS:  # noqa: SIM110
        if mark in lowered:
            return True
    return False


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Processor: hide secrets by their form, and whatever stands under a secret's name."""
    if _is_harmless(event):
        return event
    return {key: _redacted(key, value) for key, value in event.items()}


def _is_harmless(event: EventDict) -> bool:
    """Whether a look at all texts at once finds nothing to hide: true of almost every line."""
    texts = []
    for key, value in event.items():
        if isinstance(value, str):
            if _names_a_secret(key):
                return False
            texts.append(value)
        elif value is not None and not isinstance(value, int | float):
            return False
    return not _is_marked("\n".join(texts))


@lru_cache(maxsize=1_000)
def _names_a_secret(key: str) -> bool:
    return _SECRET_NAMES.search(key) is not None


def configure_logging(
    *,
    format: LogFormat = "json",
    level: str = "INFO",
    stream: TextIO | None = None,
    worker: int | None = None,
) -> None:
    """Send all logs of the process to one stream, stderr unless stated.

    ``worker`` is in each line of one of several processes, which share that stream.
    """
    out = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if worker is not None:
        shared.append(partial(_add_worker, worker))
    rendering: list[Processor] = [
        structlog.processors.format_exc_info,
        redact,
        _renderer(format, out),
    ]
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    _configure_libraries(shared, rendering, number, out)


def _add_worker(number: int, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["worker"] = number
    return event


def _configure_libraries(
    shared: list[Processor], rendering: list[Processor], level: int, out: TextIO
) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak of their insides below WARNING.
    root.setLevel(max(level, logging.WARNING))


def _renderer(format: LogFormat, out: TextIO) -> Processor:
    if format == "json":
        # An encoder made once: `json.dumps` would make another for every line.
        encode = json.JSONEncoder(default=str).encode
        return structlog.processors.JSONRenderer(serializer=lambda event, **_options: encode(event))
    return structlog.dev.ConsoleRenderer(colors=out.isatty())


def _redacted(key: str, value: Any) -> Any:
    if isinstance(value, str):
        # An empty value hides nothing, and seeing that it is empty helps.
        return _HIDDEN if value and _names_a_secret(key) else redact_text(value)
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return {name: _redacted(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(key, item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact_text(str(value))
