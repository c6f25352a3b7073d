"""Pack the contract for other languages: dist/smooth-core-protos-<version>.zip.

It holds protos/smoothcore and the google/ files that it imports, so that `protoc -I` of the
unpacked folder needs nothing else (compilers bring google/protobuf themselves). The same protos
give the same bytes.
"""

from __future__ import annotations

import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
# The least date that a zip file can hold: a real one would make each archive another.
NO_DATE = (1980, 1, 1, 0, 0, 0)
PLAIN_FILE = 0o100644 << 16
ON_UNIX = 3


def archive_name() -> str:
    """The file's name, with the version of the project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return f"smooth-core-protos-{project['version']}.zip"


def pack(target: Path) -> None:
    """Write the archive."""
    target.parent.mkdir(parents=True, exist_ok=True)
    files = {path.relative_to(PROTOS).as_posix(): path for path in PROTOS.rglob("*.proto")}
    files["LICENSE"] = ROOT / "LICENSE"
    # Stored, not deflated: compressors differ between machines in the bytes that they make.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, NO_DATE)
            entry.create_system, entry.external_attr = ON_UNIX, PLAIN_FILE
            archive.writestr(entry, files[name].read_bytes())


def main() -> None:
    target = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "dist" / archive_name()
    pack(target)
    print(target)


if __name__ == "__main__":
    main()
