"""Fixtures: distributions built once, and environments that they are installed into."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.distributions import Built, Environment, build, install, wheel_from


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The wheel and the source distribution of this checkout."""
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="session")
def wheel_of_sdist(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip makes from the source distribution."""
    return wheel_from(built.sdist, tmp_path_factory.mktemp("from-sdist") / "dist")


@pytest.fixture(scope="session")
def bare(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What `pip install smooth-core` gives: the client."""
    site = tmp_path_factory.mktemp("bare") / "site"
    install(built.wheel, site)
    return Environment(site)


@pytest.fixture(scope="session")
def with_server(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What `pip install smooth-core[server]` gives."""
    site = tmp_path_factory.mktemp("with-server") / "site"
    install(built.wheel, site, extra="server")
    return Environment(site)
