"""Settings of TLS, and where gateways are served."""

from __future__ import annotations

from pathlib import Path

import pytest

from smoothcore_server.bootstrap import server_settings
from smoothcore_server.config import ConfigError, load_settings
from smoothcore_server.transport.listen import BadAddressError, check_addresses
from smoothcore_server.transport.settings import ServerSettings, TlsSettings

FILES = {
    "tls_certificate": Path("server.crt"),
    "tls_key": Path("server.key"),
    "tls_client_ca": Path("clients.crt"),
}


@pytest.mark.parametrize("missing", FILES)
def test_a_listener_for_gateways_needs_all_files_of_tls(missing: str) -> None:
    files = {name: path for name, path in FILES.items() if name != missing}
    with pytest.raises(ConfigError, match="tls_"):
        load_settings(gateway_listen=["127.0.0.1:0"], **files)


def test_addresses_stand_in_variables_with_commas_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMOOTHD_LISTEN", "0.0.0.0:50051")
    monkeypatch.setenv("SMOOTHD_GATEWAY_LISTEN", "10.0.0.1:50052, [::1]:50052")
    settings = load_settings(**FILES)
    assert settings.listen == ["0.0.0.0:50051"]
    assert settings.gateway_listen == ["10.0.0.1:50052", "[::1]:50052"]


def test_with_a_listener_for_gateways_the_others_ask_for_no_certificate() -> None:
    alone = server_settings(load_settings(**FILES))
    assert alone.tls is not None
    assert alone.tls.client_ca == FILES["tls_client_ca"]
    both = server_settings(load_settings(gateway_listen=["127.0.0.1:0"], **FILES))
    assert both.tls is not None
    assert both.tls.client_ca is None
    assert both.gateway_tls == alone.tls


def test_gateways_are_not_served_on_a_unix_socket() -> None:
    tls = TlsSettings(certificate=Path("a"), key=Path("b"), client_ca=Path("c"))
    settings = ServerSettings(listen=(), gateway_listen=("unix:/tmp/gate.sock",), gateway_tls=tls)
    with pytest.raises(BadAddressError, match="over TCP only"):
        check_addresses(settings)
