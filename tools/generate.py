"""Write generated/ from protos/: stubs, type stubs, and the package files around them.

`python tools/generate.py` writes; with `--check` it compares and fails when anything differs.
"""

from __future__ import annotations

import filecmp
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
PACKAGE = "smoothcore/v1"

INIT = {
    "smoothcore/__init__.py": '"""Generated from protos/. Do not edit: run `make proto`."""\n',
    "smoothcore/py.typed": "",
    "smoothcore/v1/__init__.py": '"""The contract `smoothcore.v1`: messages and stubs."""\n',
}


def generate(out: Path) -> None:
    """Write all generated files below ``out``."""
    sources = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / PACKAGE).glob("*.proto"))
    arguments = [
        "protoc",
        f"-I{PROTOS}",
        f"-I{Path(protoc.__file__).parent / '_proto'}",
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
        *sources,
    ]
    if protoc.main(arguments):
        sys.exit("protoc failed")
    for name, text in INIT.items():
        (out / name).write_text(text)
    # Messages without a service get an empty stub module; nobody needs it.
    for stub in (out / PACKAGE).glob("*_pb2_grpc.py*"):
        if not stub.name.startswith(tuple(_service_files())):
            stub.unlink()


def _service_files() -> list[str]:
    return [path.stem + "_pb2" for path in (PROTOS / PACKAGE).glob("*_service.proto")]


def _files(folder: Path) -> set[Path]:
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def main() -> None:
    target = ROOT / "generated"
    with tempfile.TemporaryDirectory() as work:
        fresh = Path(work)
        generate(fresh)
        if "--check" in sys.argv:
            wanted, present = _files(fresh), _files(target)
            _, differ, errors = filecmp.cmpfiles(
                fresh, target, [str(path) for path in wanted & present], shallow=False
            )
            drift = sorted({*map(str, wanted ^ present), *differ, *errors})
            if drift:
                sys.exit(
                    "generated/ is not what protos/ gives; run `make proto`: " + ", ".join(drift)
                )
            return
        for path in _files(target) - _files(fresh):
            (target / path).unlink()
        for path in _files(fresh):
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_bytes((fresh / path).read_bytes())


if __name__ == "__main__":
    main()
