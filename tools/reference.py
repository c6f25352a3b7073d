"""Write docs/reference/ from protos/: a page per file of the contract, errors, verdicts, an index.

`python tools/reference.py` writes; with `--check` it compares and fails when anything differs.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from google.api import annotations_pb2, field_behavior_pb2, resource_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)
from grpc_tools import protoc  # type: ignore[import-untyped]

from smoothcore.v1 import access_pb2

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
PACKAGE = "smoothcore/v1"
TARGET = ROOT / "docs" / "reference"
NOTE = "<!-- Generated from protos/. Do not edit: run `make reference`. -->\n"

# Files whose declarations stand on pages of their own, or are no part of what a caller sends.
ERRORS, ACCESS = "error_reason", "access"
# Numbers that PLCs map stand together on one page.
STABLE_ENUMS = (
    "ReadinessState",
    "ReportCode",
    "VerdictCode",
    "UnverifiableReason",
    "VerdictNote",
    "Assurance",
)

# Field numbers in descriptor.proto: the path of a source location is made of them.
FILE_MESSAGE, FILE_ENUM, FILE_SERVICE = 4, 5, 6
MESSAGE_FIELD, MESSAGE_ONEOF, SERVICE_METHOD, ENUM_VALUE = 2, 8, 2, 2

SCALARS = {
    FieldDescriptorProto.TYPE_DOUBLE: "double",
    FieldDescriptorProto.TYPE_FLOAT: "float",
    FieldDescriptorProto.TYPE_INT32: "int32",
    FieldDescriptorProto.TYPE_INT64: "int64",
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_BYTES: "bytes",
}
BEHAVIORS = {
    field_behavior_pb2.REQUIRED: "required",
    field_behavior_pb2.OPTIONAL: "optional",
    field_behavior_pb2.OUTPUT_ONLY: "output only",
    field_behavior_pb2.IDENTIFIER: "identifier",
    field_behavior_pb2.INPUT_ONLY: "input only",
    field_behavior_pb2.IMMUTABLE: "fixed once set",
}
HTTP_VERBS = ("get", "put", "post", "delete", "patch")

_PARAGRAPH_ENDS = re.compile(r"\n\s*\n")
_LIST_ITEM = re.compile(r"\s*- ")
_SENTENCE_ENDS = re.compile(r"(?<=\.)\s(?=[A-Z])")
# Names of fields and of values; "NOT READY" is English.
_CODE_WORD = re.compile(
    r'(?<![\w`/"])(?<!NOT )([A-Z]+(?:_[A-Z0-9]+)+|[A-Z]{5,}|[a-z]+(?:_[a-z]+)+)(?![\w`])'
)


# What is read from the protos


@dataclass(frozen=True, slots=True)
class File:
    """One file of the contract, with the comment of each of its declarations."""

    proto: FileDescriptorProto
    comments: dict[tuple[int, ...], str]

    @property
    def stem(self) -> str:
        """The name of the file: machine_service."""
        return Path(self.proto.name).stem

    @property
    def page(self) -> str:
        """The name of its page."""
        return self.stem.replace("_", "-") + ".md"

    def names(self) -> list[str]:
        """Its messages, then its enums."""
        messages = [message.name for message in self.proto.message_type]
        return messages + [item.name for item in self.proto.enum_type]

    def comment(self, *path: int) -> str:
        """The comment above a declaration."""
        return self.comments.get(path, "")


@dataclass(slots=True)
class Contract:
    """All files, and where each declaration is described."""

    files: list[File]
    homes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for file in self.files:
            for name in file.names():
                self.homes[name] = "verdicts.md" if name in STABLE_ENUMS else file.page
        self.homes["ErrorReason"] = "errors.md"

    def services(self) -> Iterator[tuple[File, int, ServiceDescriptorProto]]:
        """Each service, with the file it stands in and its place there."""
        for file in self.files:
            for index, service in enumerate(file.proto.service):
                yield file, index, service

    def methods(self) -> Iterator[tuple[File, ServiceDescriptorProto, MethodDescriptorProto, str]]:
        """Each method, with where it stands and its comment."""
        for file, index, service in self.services():
            for place, method in enumerate(service.method):
                path = (FILE_SERVICE, index, SERVICE_METHOD, place)
                yield file, service, method, file.comment(*path)

    def enum(self, name: str) -> tuple[File, int, EnumDescriptorProto]:
        """An enum by its name."""
        for file in self.files:
            for index, item in enumerate(file.proto.enum_type):
                if item.name == name:
                    return file, index, item
        raise KeyError(name)

    def link(self, type_name: str) -> str:
        """A type as a link to where it is described; of others, the bare name."""
        name = type_name.rpartition(".")[2]
        if not type_name.startswith(".smoothcore."):
            return f"`{type_name.lstrip('.')}`"
        return f"[`{name}`]({self.homes[name]}#{anchor(name)})"


def read_contract() -> Contract:
    """Compile the protos, with their comments."""
    sources = sorted(path.relative_to(PROTOS).as_posix() for path in PROTOS.glob(f"{PACKAGE}/*"))
    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / "set.binpb"
        arguments = [
            "protoc",
            f"-I{PROTOS}",
            f"-I{Path(protoc.__file__).parent / '_proto'}",
            "--include_source_info",
            f"--descriptor_set_out={out}",
            *sources,
        ]
        if protoc.main(arguments):
            sys.exit("protoc failed")
        compiled = FileDescriptorSet.FromString(out.read_bytes())
    return Contract([File(file, _comments(file)) for file in compiled.file])


def _comments(file: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    return {
        tuple(location.path): _unindent(location.leading_comments)
        for location in file.source_code_info.location
        if location.leading_comments
    }


def _unindent(comment: str) -> str:
    return "\n".join(line.removeprefix(" ").rstrip() for line in comment.strip("\n").split("\n"))


# Markdown


def anchor(heading: str) -> str:
    """The link target that a heading gets."""
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


def escape(text: str) -> str:
    """Text in which nothing is taken for markup; names of fields and values as code."""
    text = re.sub(r"([|<>*])", r"\\\1", text)
    return _CODE_WORD.sub(r"`\1`", text)


def prose(comment: str) -> str:
    """A comment as paragraphs and lists; what a method returns starts a paragraph."""
    comment = re.sub(r"\n(Returns:|Example:)", r"\n\n\1", comment)
    blocks = [_block(block) for block in _PARAGRAPH_ENDS.split(comment) if block.strip()]
    return "\n\n".join(blocks)


def _block(block: str) -> str:
    joined: list[str] = []
    for line in block.split("\n"):
        if joined and not _LIST_ITEM.match(line):
            joined[-1] += " " + line.strip()
        else:
            joined.append(line.strip())
    text = "\n".join(escape(line) for line in joined)
    return re.sub(r"^Returns:", "**Returns:**", text)


def cell(comment: str) -> str:
    """A comment as one line of a table."""
    return escape(" ".join(comment.split()))


def first_sentence(comment: str) -> str:
    """What a comment begins with, for an overview."""
    return escape(_SENTENCE_ENDS.split(" ".join(comment.split()), maxsplit=1)[0])


def table(head: tuple[str, ...], rows: Iterable[Iterable[str]]) -> str:
    """A table."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def page(*parts: str) -> str:
    """Paragraphs, without the empty ones."""
    return NOTE + "\n" + "\n\n".join(part for part in parts if part) + "\n"


# Parts of pages


def message_table(contract: Contract, file: File, index: int) -> str:
    """The fields of a message."""
    message = file.proto.message_type[index]
    rows = []
    for place, item in enumerate(message.field):
        comment = file.comment(FILE_MESSAGE, index, MESSAGE_FIELD, place)
        meaning = cell(comment) + _alternatives(message, item)
        rows.append(
            (
                str(item.number),
                f"`{item.name}`",
                _type(contract, message, item),
                _rule(item),
                meaning,
            )
        )
    if not rows:
        return "It has no fields."
    return table(("No.", "Field", "Type", "Rule", "Meaning"), rows)


def _alternatives(message: DescriptorProto, item: FieldDescriptorProto) -> str:
    if not item.HasField("oneof_index") or item.proto3_optional:
        return ""
    others = [
        f"`{other.name}`"
        for other in message.field
        if other.HasField("oneof_index")
        and other.oneof_index == item.oneof_index
        and other.number != item.number
    ]
    return f" *(or {', '.join(others)})*" if others else ""


def _type(contract: Contract, message: DescriptorProto, item: FieldDescriptorProto) -> str:
    entry = {nested.name: nested for nested in message.nested_type}.get(
        item.type_name.rpartition(".")[2]
    )
    if entry is not None and entry.options.map_entry:
        key, value = (_type(contract, entry, part) for part in entry.field)
        return f"map of {key} to {value}"
    name = SCALARS.get(item.type) or contract.link(item.type_name)
    return f"list of {name}" if item.label == FieldDescriptorProto.LABEL_REPEATED else name


def _rule(item: FieldDescriptorProto) -> str:
    behaviors = item.options.Extensions[field_behavior_pb2.field_behavior]
    words = [BEHAVIORS.get(value, "") for value in behaviors]
    if item.proto3_optional:
        words.append("may be absent")
    return ", ".join(word for word in words if word)


def enum_table(file: File, index: int) -> str:
    """The values of an enum."""
    item = file.proto.enum_type[index]
    rows = [
        (
            str(value.number),
            f"`{value.name}`",
            cell(file.comment(FILE_ENUM, index, ENUM_VALUE, place)),
        )
        for place, value in enumerate(item.value)
    ]
    return table(("No.", "Value", "Meaning"), rows)


def message_section(contract: Contract, file: File, index: int, level: str = "###") -> str:
    """A message: heading, comment, pattern of its names, fields."""
    message = file.proto.message_type[index]
    resource = message.options.Extensions[resource_pb2.resource]
    names = ", ".join(f"`{pattern}`" for pattern in resource.pattern)
    return "\n\n".join(
        part
        for part in (
            f"{level} {message.name}",
            prose(file.comment(FILE_MESSAGE, index)),
            f"Resource names: {names}" if names else "",
            message_table(contract, file, index),
        )
        if part
    )


def enum_section(file: File, index: int, level: str = "###") -> str:
    """An enum: heading, comment, values."""
    heading = f"{level} {file.proto.enum_type[index].name}"
    return "\n\n".join([heading, prose(file.comment(FILE_ENUM, index)), enum_table(file, index)])


def access_text(method: MethodDescriptorProto) -> str:
    """Who may call a method."""
    access = method.options.Extensions[access_pb2.access]
    if access.public:
        return "anybody, without a credential"
    if access.any_credential:
        return "any valid credential"
    if access.per_type:
        return "any valid credential; it sees the resource types that it may read"
    where = f" on the machine of `{access.machine_field}`" if access.machine_field else ""
    return f"permission `{access.permission}`{where}"


def http_text(method: MethodDescriptorProto) -> str:
    """The HTTP form of a method; empty where it has none."""
    rule = method.options.Extensions[annotations_pb2.http]
    for verb in HTTP_VERBS:
        if getattr(rule, verb):
            body = f", body `{rule.body}`" if rule.body and rule.body != "*" else ""
            return f"`{verb.upper()} {getattr(rule, verb)}`{body}"
    return ""


def stream_text(method: MethodDescriptorProto) -> str:
    """How many messages go which way."""
    if method.client_streaming and method.server_streaming:
        return "both sides stream"
    if method.client_streaming:
        return "the client streams"
    return "the server streams" if method.server_streaming else "one request, one reply"


def method_section(contract: Contract, method: MethodDescriptorProto, comment: str) -> str:
    """A method: comment, who may call it, its forms, and the messages that are its own."""
    facts = [
        ("Access", access_text(method)),
        ("HTTP", http_text(method)),
        ("Kind", stream_text(method)),
        ("Request", contract.link(method.input_type)),
        ("Reply", contract.link(method.output_type)),
    ]
    lines = [f"- {name}: {value}" for name, value in facts if value]
    return "\n\n".join([f"## {method.name}", prose(comment), "\n".join(lines)])


# Pages


def service_page(contract: Contract, file: File) -> str:
    """The page of a service: its methods, each followed by its own messages, then the rest."""
    service = file.proto.service[0]
    index_of = {message.name: index for index, message in enumerate(file.proto.message_type)}
    shown: set[str] = set()
    parts = [f"# {service.name}", prose(file.comment(FILE_SERVICE, 0)), _method_list(file, service)]
    for place, method in enumerate(service.method):
        comment = file.comment(FILE_SERVICE, 0, SERVICE_METHOD, place)
        parts.append(method_section(contract, method, comment))
        for type_name in (method.input_type, method.output_type):
            name = type_name.rpartition(".")[2]
            if name in index_of and name not in shown:
                shown.add(name)
                parts.append(message_section(contract, file, index_of[name]))
    others = [index for name, index in index_of.items() if name not in shown]
    parts += _declarations(contract, file, others)
    return page(*parts, BACK)


def _method_list(file: File, service: ServiceDescriptorProto) -> str:
    rows = [
        (
            f"[{method.name}](#{anchor(method.name)})",
            first_sentence(file.comment(FILE_SERVICE, 0, SERVICE_METHOD, place)),
        )
        for place, method in enumerate(service.method)
    ]
    return table(("Method", "What it does"), rows)


def _declarations(contract: Contract, file: File, messages: list[int]) -> list[str]:
    parts = []
    if messages:
        parts.append("## Further messages" if file.proto.service else "## Messages")
        parts += [message_section(contract, file, index) for index in messages]
    enums = [
        index for index, item in enumerate(file.proto.enum_type) if item.name not in STABLE_ENUMS
    ]
    if enums:
        parts.append("## Enums")
        parts += [enum_section(file, index) for index in enums]
    return parts


def noun_page(contract: Contract, file: File) -> str:
    """The page of messages that several services share."""
    title = file.stem.replace("_", " ").capitalize()
    messages = list(range(len(file.proto.message_type)))
    return page(f"# {title}", *_declarations(contract, file, messages), BACK)


def errors_page(contract: Contract) -> str:
    """All error reasons, by status code."""
    file, index, item = contract.enum("ErrorReason")
    rows = []
    for place, value in enumerate(item.value):
        comment = file.comment(FILE_ENUM, index, ENUM_VALUE, place)
        if not value.number:
            continue
        status, _, meaning = comment.partition(": ")
        rows.append(
            (
                str(value.number),
                f"`{value.name.removeprefix('ERROR_REASON_')}`",
                f"`{status}`",
                cell(meaning[:1].upper() + meaning[1:]),
            )
        )
    return page(
        "# Errors",
        "Every error is a `google.rpc.Status` whose details hold a `google.rpc.ErrorInfo` with the "
        'domain "smooth-core" and one of these reasons. The message alone tells a person what is '
        "wrong and what to do next. Further details where they fit: `BadRequest` names each field, "
        "`ResourceInfo` the resource, `PreconditionFailure` the state, `RetryInfo` how long to "
        "wait.",
        "## ErrorReason",
        prose(file.comment(FILE_ENUM, index)),
        table(("No.", "Reason", "Status", "Meaning, and what to do"), rows),
        BACK,
    )


def verdicts_page(contract: Contract) -> str:
    """The numbers that a PLC maps."""
    sections = []
    for name in STABLE_ENUMS:
        file, index, _ = contract.enum(name)
        sections.append(enum_section(file, index, "##"))
    report = contract.link(".smoothcore.v1.VerificationReport")
    return page(
        "# Verdicts",
        "The numbers on this page are stable: a PLC or a gateway can map them. A number that a "
        "program does not know means NOT READY, and so do every error and every answer that is "
        f"older than its `valid_for`. {report} says how they come together.",
        *sections,
        BACK,
    )


def index_page(contract: Contract) -> str:
    """The table of contents."""
    services = [
        (
            f"[{service.name}]({file.page})",
            first_sentence(file.comment(FILE_SERVICE, index)),
            ", ".join(
                f"[{method.name}]({file.page}#{anchor(method.name)})" for method in service.method
            ),
        )
        for file, index, service in contract.services()
    ]
    return page(
        "# Reference of the API",
        "Package `smoothcore.v1`. A running server tells the same: `grpcurl … describe`. "
        "`make protos-zip` packs the protos for other languages.",
        "## Services",
        table(("Service", "For", "Methods"), services),
        "## Numbers and reasons",
        "- [Errors](errors.md): why a call failed, and what to do.\n"
        "- [Verdicts](verdicts.md): the numbers that a PLC maps.",
        "## Resources",
        table(("Resource", "Names", "What it is"), _resources(contract)),
        "## Shared messages",
        "\n".join(
            f"- [{file.stem.replace('_', ' ').capitalize()}]({file.page}): "
            + ", ".join(
                contract.link("." + PACKAGE.replace("/", ".") + "." + name) for name in names
            )
            for file, names in _shared(contract)
        ),
        "## Permissions",
        "What a credential must hold for each method. `*` holds all.",
        table(("Permission", "Methods"), _permissions(contract)),
    )


def _resources(contract: Contract) -> Iterator[tuple[str, str, str]]:
    for file in contract.files:
        for index, message in enumerate(file.proto.message_type):
            resource = message.options.Extensions[resource_pb2.resource]
            if resource.pattern:
                names = ", ".join(f"`{pattern}`" for pattern in resource.pattern)
                link = f"[{message.name}]({file.page}#{anchor(message.name)})"
                yield link, names, first_sentence(file.comment(FILE_MESSAGE, index))


def _shared(contract: Contract) -> Iterator[tuple[File, list[str]]]:
    for file in noun_files(contract):
        yield file, [name for name in file.names() if contract.homes[name] == file.page]


def _permissions(contract: Contract) -> list[tuple[str, str]]:
    found: dict[str, list[str]] = {}
    for file, service, method, _ in contract.methods():
        access = method.options.Extensions[access_pb2.access]
        name = f"`{access.permission}`" if access.permission else f"({access_text(method)})"
        link = f"[{service.name}.{method.name}]({file.page}#{anchor(method.name)})"
        found.setdefault(name, []).append(link)
    return [(name, ", ".join(links)) for name, links in sorted(found.items())]


def noun_files(contract: Contract) -> list[File]:
    """The files that are neither a service's nor have a page of another kind."""
    own_pages = (ERRORS, ACCESS)
    return [f for f in contract.files if not f.proto.service and f.stem not in own_pages]


BACK = "[All of the reference](README.md)"


def pages() -> dict[str, str]:
    """Each page by the name of its file."""
    contract = read_contract()
    made = {
        "README.md": index_page(contract),
        "errors.md": errors_page(contract),
        "verdicts.md": verdicts_page(contract),
    }
    for file in noun_files(contract):
        made[file.page] = noun_page(contract, file)
    for file, _, _ in contract.services():
        made[file.page] = service_page(contract, file)
    return made


def drift(made: dict[str, str]) -> list[str]:
    """The pages that are missing, other than they should be, or there for nothing."""
    present = {path.name: path.read_text(encoding="utf-8") for path in TARGET.glob("*")}
    return sorted(
        name for name in made.keys() | present.keys() if made.get(name) != present.get(name)
    )


def main() -> None:
    made = pages()
    changed = drift(made)
    if "--check" in sys.argv:
        if changed:
            names = ", ".join(changed)
            sys.exit(f"docs/reference/ is not what protos/ gives; run `make reference`: {names}")
        return
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in made:
            (TARGET / name).write_text(made[name], encoding="utf-8")
        else:
            (TARGET / name).unlink()


if __name__ == "__main__":
    main()
