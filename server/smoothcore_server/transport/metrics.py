"""Prometheus exposition over HTTP, on a port of its own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, start_http_server

from smoothcore_server.transport.listen import Address, ensure_free, parse


class MetricsServer:
    """A running exposition; a thread serves it."""

    def __init__(self, address: str, port: int, stop: Callable[[], None]) -> None:
        self.address = address
        self.port = port
        self._stop = stop

    def stop(self) -> None:
        """Stop serving. Blocks for up to half a second: call it in a thread."""
        self._stop()


def start_metrics_server(registry: CollectorRegistry, listen: str) -> MetricsServer:
    """Serve the metrics of a registry under ``/metrics``.

    ``listen`` is ``host:port``; port 0 takes any free one, and `MetricsServer.port` says which.
    There is no TLS and no credential: metrics name no customer data, but belong on loopback or an
    inner network. Raises ListenError when the port is taken.
    """
    address: Address = parse(listen)
    ensure_free(address)
    server, thread = start_http_server(address.port, address.host, registry=registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)

    return MetricsServer(address.host, server.server_port, stop)
