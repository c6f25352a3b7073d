"""The archive of the protos is all that another language needs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc  # type: ignore[import-untyped]

from tests.packaging.distributions import ROOT

BUF = Path(sys.executable).with_name("buf")
WELL_KNOWN = Path(protoc.__file__).parent / "_proto"
OURS = sorted(
    path.relative_to(ROOT / "protos").as_posix()
    for path in (ROOT / "protos/smoothcore").rglob("*.proto")
)


def pack(target: Path) -> Path:
    command = [sys.executable, str(ROOT / "tools/protos_zip.py"), str(target)]
    subprocess.run(command, check=True, capture_output=True)
    return target


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(tmp_path_factory.mktemp("zip") / "protos.zip")


def test_the_same_protos_give_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    again = pack(tmp_path / "again.zip")
    assert again.read_bytes() == archive.read_bytes()


def test_the_archive_holds_the_contract_and_what_it_imports(archive: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
    assert names == sorted(names)
    assert {*OURS, "google/api/annotations.proto", "google/rpc/error_details.proto"} <= set(names)
    assert "LICENSE" in names


def test_protoc_compiles_what_was_unpacked_and_nothing_else(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "protos")
    out = tmp_path / "set.binpb"
    arguments = ["protoc", f"-I{tmp_path / 'protos'}", f"-I{WELL_KNOWN}"]
    assert protoc.main([*arguments, f"--descriptor_set_out={out}", *OURS]) == 0
    found = {file.name for file in FileDescriptorSet.FromString(out.read_bytes()).file}
    assert found == set(OURS)


def test_buf_builds_the_archive_as_it_is(archive: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [BUF, "build", archive, "-o", tmp_path / "image.binpb"],
        cwd=tmp_path,
        env=os.environ | {"BUF_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
