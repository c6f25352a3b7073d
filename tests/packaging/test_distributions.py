"""What is released holds all of ours and nothing else, and is built without a network."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.packaging.distributions import ROOT, Built

PACKAGES = {
    "smoothcore": "generated",
    "smoothcore_client": "client",
    "smoothcore_commands": "client",
    "smoothcore_server": "server",
    "smoothcore_migrations": "migrations",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def files_of(wheel: Path) -> dict[str, bytes]:
    """Each file of a wheel; RECORD and WHEEL say how and of what it was built."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def metadata(wheel: Path) -> Message:
    (name,) = (name for name in files_of(wheel) if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(files_of(wheel)[name].decode())


def test_the_wheel_holds_only_packages_named_after_us(built: Built) -> None:
    folders = {name.partition("/")[0] for name in files_of(built.wheel)}
    assert folders == {*PACKAGES, f"smooth_core-{PROJECT['version']}.dist-info"}


def test_the_wheel_holds_every_file_of_every_package(built: Built) -> None:
    wanted = {
        path.relative_to(built.source / folder).as_posix()
        for package, folder in PACKAGES.items()
        for path in (built.source / folder / package).rglob("*")
        if path.is_file()
    }
    assert {name for name in files_of(built.wheel) if ".dist-info/" not in name} == wanted


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_that_it_is_typed(package: str, built: Built) -> None:
    assert f"{package}/py.typed" in files_of(built.wheel)


def test_the_wheel_holds_the_migrations_and_their_template(built: Built) -> None:
    names = files_of(built.wheel)
    versions = list((built.source / "migrations/smoothcore_migrations/versions").glob("v*.py"))
    assert versions
    for version in versions:
        assert f"smoothcore_migrations/versions/{version.name}" in names
    assert "smoothcore_migrations/script.py.mako" in names


def test_no_file_of_the_wheel_names_the_folder_that_it_was_built_in(built: Built) -> None:
    for name, content in files_of(built.wheel).items():
        assert str(built.source).encode() not in content, name
        assert str(ROOT).encode() not in content, name


def test_the_wheel_has_the_commands_the_licence_and_the_readme(built: Built) -> None:
    files = files_of(built.wheel)
    info = f"smooth_core-{PROJECT['version']}.dist-info"
    commands = files[f"{info}/entry_points.txt"].decode()
    assert "smooth = smoothcore_commands.smooth:main" in commands
    assert "smoothd = smoothcore_commands.smoothd:main" in commands
    assert f"{info}/licenses/LICENSE" in files
    about = metadata(built.wheel)
    assert about["License-Expression"] == "Apache-2.0"
    assert "# Smooth Core" in about.get_payload()


def test_the_base_install_asks_for_nothing_of_the_server(built: Built) -> None:
    required = [Requirement(line) for line in metadata(built.wheel).get_all("Requires-Dist", [])]
    base = {
        item.name for item in required if not item.marker or item.marker.evaluate({"extra": ""})
    }
    assert base == {Requirement(line).name for line in PROJECT["dependencies"]}
    assert not base & {"sqlalchemy", "asyncpg", "alembic", "pydantic-settings", "uvloop"}


def test_a_wheel_from_the_sdist_is_the_wheel_from_the_checkout(
    built: Built, wheel_of_sdist: Path
) -> None:
    assert wheel_of_sdist.name == built.wheel.name
    assert files_of(wheel_of_sdist) == files_of(built.wheel)


def test_the_sdist_holds_what_a_packager_needs_and_no_junk(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile"} <= names
    assert "protos/smoothcore/v1/machine_service.proto" in names
    assert "protos/google/api/annotations.proto" in names
    assert "tests/conftest.py" in names
    junk = (".venv", ".build", ".ci/", ".git/", "dist/")
    assert not [name for name in names if name.startswith(junk) or "__pycache__" in name]
