"""`smoothd certs dev`: what it makes and prints really works, from the server to a push."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tests.support.smooth import ServerProcess

GRPC_LINE = r"^[IWE]\d{4} "
"""Of gRPC's core: I1127 00:58:43.170607 1612 ssl_transport_security.cc:2563] ..."""
TABLE = "T1 P1 Z+50.8 D+6.35 ;1/4 flat endmill\n"


def run(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(environment or {})}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def certs_dev(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run("smoothcore_server", "certs", "dev", *arguments)


def commands(printed: str, begin: str) -> list[list[str]]:
    """The words of the printed commands that begin so."""
    lines = [line.strip() for line in printed.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(begin)]


def test_what_it_prints_leads_to_a_push_with_a_certificate(tmp_path: Path) -> None:
    folder = tmp_path / "my certs"
    made = certs_dev(str(folder), "--gateway", "edge-7", "--gateway", "edge-8")
    assert made.returncode == 0, made.stderr
    assert "FOR TRYING OUT ONLY" in made.stdout
    settings = dict(words[1].split("=", 1) for words in commands(made.stdout, "export "))
    assert settings["SMOOTHD_GATEWAY_LISTEN"] == "127.0.0.1:50052"
    settings["SMOOTHD_GATEWAY_LISTEN"] = "127.0.0.1:0"  # Another may use that port.
    server = ServerProcess(tmp_path / "data", environment=settings)
    try:
        assert server.gateway_address
        _walk(made.stdout, server, tmp_path)
    finally:
        server.stop()


def _walk(printed: str, server: ServerProcess, folder: Path) -> None:
    admin = {
        "SMOOTH_SERVER": server.address,
        "SMOOTH_API_KEY": server.admin_key,
        "SMOOTH_CONFIG": str(folder / "none.json"),
    }
    (_, *whoami), *creates = commands(printed, "smooth --ca")
    authority = whoami[whoami.index("--ca") + 1]
    (shown,) = commands(server.greeting, "smooth ")
    assert "admin" in smooth(
        [authority if it == "AUTHORITY.crt" else it for it in shown[1:]], admin
    )
    _without_the_authority(authority.replace("ca.crt", "server.key"), admin)
    smooth([*whoami[:-1], "machines", "create", "mill-1", "--unit", "mm"], admin)
    create = next(words for words in creates if "edge-7" in words)
    smooth([*create[1:], "-m", "mill-1"], admin)

    edge_7, edge_8 = commands(printed, "env -u SMOOTH_API_KEY smooth")
    nobody = {**admin, "SMOOTH_API_KEY": ""}
    options = _at(edge_7, server.gateway_address)
    assert "edge-7" in smooth([*options, "whoami"], nobody)
    table = folder / "tool.tbl"
    table.write_text(TABLE)
    smooth([*options, "table", "push", "mill-1", str(table)], nobody)
    # What smooth login remembers is where the certificate is.
    smooth([*options, "login"], nobody)
    assert "edge-7" in smooth(["whoami"], {**nobody, "SMOOTH_SERVER": server.gateway_address})
    other = _at(edge_8, server.gateway_address)
    refused = run("smoothcore_client.cli", *other, "whoami", environment=nobody)
    assert refused.returncode == 2
    assert "--certificate-name DNS:edge-8" in refused.stderr


def _without_the_authority(other_file: str, admin: Mapping[str, str]) -> None:
    """Who does not say whom to trust is told what is missing."""
    plain = run("smoothcore_client.cli", "whoami", environment=admin)
    assert (plain.returncode, "if it speaks TLS, add --tls" in plain.stderr) == (2, True)
    wrong = run("smoothcore_client.cli", "--ca", other_file, "whoami", environment=admin)
    assert (wrong.returncode, "holds no certificate" in wrong.stderr) == (2, True)


def _at(words: list[str], address: str) -> list[str]:
    """The global options of a printed command, for the server that runs here."""
    options = words[words.index("smooth") + 1 : -1]
    options[options.index("--server") + 1] = address
    return options


def smooth(arguments: list[str], environment: Mapping[str, str]) -> str:
    done = run("smoothcore_client.cli", *arguments, environment=environment)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def test_the_files_are_for_their_owner_only_and_end_in_thirty_days(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    assert certs_dev(str(folder), "--name", "hub.plant.example", "--gateway", "e7").returncode == 0
    files = {path.name: path for path in folder.iterdir()}
    assert sorted(files) == [
        "ca.crt",
        "gateway-e7.crt",
        "gateway-e7.key",
        "server.crt",
        "server.key",
    ]
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.glob("*.crt"):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        left = certificate.not_valid_after_utc - datetime.now(UTC)
        assert timedelta(days=29) < left <= timedelta(days=30)
    server = x509.load_pem_x509_certificate(files["server.crt"].read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "hub.plant.example"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("there", ["ca.crt", "server.key", "gateway-e7.key"])
def test_nothing_is_overwritten_and_nothing_half_made(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    made = certs_dev(str(tmp_path), "--gateway", "e7")
    assert made.returncode == 2
    assert there in made.stderr
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


@pytest.mark.parametrize("gateway", ["../e7", "E7", "a b", ""])
def test_a_name_that_is_none_is_refused(tmp_path: Path, gateway: str) -> None:
    made = certs_dev(str(tmp_path / "certs"), "--gateway", gateway)
    assert made.returncode == 2
    assert "no name for a gateway" in made.stderr
    assert not (tmp_path / "certs").exists()


def test_a_handshake_that_fails_writes_no_lines_of_grpc_itself(tmp_path: Path) -> None:
    made = certs_dev(str(tmp_path / "certs"))
    tls = dict(words[1].split("=", 1) for words in commands(made.stdout, "export "))
    program = str(Path(sys.executable).parent / "smooth")
    environment = {**os.environ, "SMOOTH_CONFIG": str(tmp_path / "none.json")}
    for settings, option in ((tls, "--tls"), (tls, "--insecure"), ({}, "--tls")):
        server = ServerProcess(tmp_path / f"data{option}{len(settings)}", environment=settings)
        try:
            asked = [program, "--server", server.address, "--key", "sk_x", option, "whoami"]
            done = subprocess.run(
                asked, env=environment, capture_output=True, text=True, check=False, timeout=60
            )
        finally:
            server.stop()
        assert done.returncode == 2
        assert not re.search(GRPC_LINE, done.stderr, re.MULTILINE)
        assert all(line.startswith("{") for line in server.log.read_text().splitlines())
