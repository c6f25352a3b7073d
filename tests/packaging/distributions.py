"""Builds what is released, and lays it out in a folder as an installer would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
# Whatever asks for a network is refused at once, by pip itself or by a port where nobody listens.
OFFLINE = {
    "PIP_NO_INDEX": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
}
_JUNK = {".git", ".venv", ".build", "dist", "__pycache__", "node_modules"}


@dataclass(frozen=True, slots=True)
class Built:
    """What was built from a clean copy of the checkout."""

    source: Path
    wheel: Path
    sdist: Path


def copy_checkout(target: Path) -> None:
    """Copy what belongs to the project, and nothing else that lies in the folder."""
    for name in _project_files():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def _project_files() -> list[str]:
    """Files of git, and those that `git add` would take; all but the known junk without git."""
    if not (ROOT / ".git").exists():
        files = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        return [str(path) for path in files if _JUNK.isdisjoint(path.parts)]
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.split("\0") if name]


def build(work: Path) -> Built:
    """Build both distributions from a copy of the checkout, without a network."""
    source, out = work / "source", work / "dist"
    copy_checkout(source)
    _offline(source, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", str(out))
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return Built(source, wheel, sdist)


def wheel_from(sdist: Path, out: Path) -> Path:
    """Build a wheel from a source distribution as pip does, without a network."""
    options = ("--no-deps", "--no-build-isolation", "--quiet", "-w", str(out))
    _offline(out.parent, "-m", "pip", "wheel", *options, str(sdist))
    (wheel,) = out.glob("*.whl")
    return wheel


def _offline(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | OFFLINE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def install(wheel: Path, site: Path, extra: str = "") -> None:
    """Lay out a wheel and what it requires, as in the site-packages of a fresh environment.

    The requirements come from this environment, whose other packages stay out of sight.
    """
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for required in _closure(distribution_in(site), extra):
        _link_files(required, site)


def distribution_in(site: Path) -> Distribution:
    """The metadata of the wheel that was installed there."""
    (info,) = site.glob("smooth_core-*.dist-info")
    return PathDistribution(info)


def _closure(start: Distribution, extra: str) -> Iterable[Distribution]:
    """What a distribution needs, and what that needs, found in this environment."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(start, chosen) for chosen in ("", extra)]
    while waiting:
        current, chosen = waiting.pop()
        for requirement in _requirements(current, chosen):
            name = canonicalize_name(requirement.name)
            required = found.setdefault(name, distribution(name))
            wanted = {(name, option) for option in ("", *requirement.extras)} - seen
            seen |= wanted
            waiting += [(required, option) for _, option in wanted]
    return found.values()


def _requirements(of: Distribution, extra: str) -> Iterable[Requirement]:
    for requirement in map(Requirement, of.requires or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def _link_files(installed: Distribution, site: Path) -> None:
    for file in installed.files or ():
        # Scripts lie outside of site-packages, and compiled code is made anew.
        if ".." in file.parts or "__pycache__" in file.parts:
            continue
        target = site / file
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.symlink_to(Path(str(file.locate())).resolve())
        except OSError:  # Windows lets only some make links.
            shutil.copy2(str(file.locate()), target)


@dataclass(frozen=True, slots=True)
class Environment:
    """A Python that sees one folder of packages and the standard library."""

    site: Path

    def variables(self, **more: str) -> dict[str, str]:
        """The environment of a process; nothing of ours leaks in from outside."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("SMOOTH")}
        return kept | {"PYTHONPATH": str(self.site)} | more

    def python(self, *arguments: str) -> list[str]:
        """The command that runs Python: -S keeps the packages of this environment out."""
        return [sys.executable, "-S", *arguments]

    def script(self, name: str, *arguments: str) -> list[str]:
        """The command that runs a console script."""
        return self.python("-c", _RUN_SCRIPT, name, *arguments)

    def run(self, command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, outside of the checkout."""
        return subprocess.run(
            command,
            cwd=self.site.parent,
            env=self.variables(**variables),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


_RUN_SCRIPT = """
import sys
from importlib.metadata import entry_points
sys.argv = sys.argv[1:]
(script,) = entry_points(group="console_scripts", name=sys.argv[0])
sys.exit(script.load()())
"""
