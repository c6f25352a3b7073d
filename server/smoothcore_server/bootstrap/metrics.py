"""What a server says of itself to Prometheus, beside the metrics of its calls.

All of it is looked up when it is asked for: nothing is counted twice, and serving costs no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from smoothcore_server.api.auth_service import VERSION
from smoothcore_server.feed.tailer import Feed
from smoothcore_server.store.engine import Engine


class ServerMetrics(Collector):
    """Names no organization: how much each of them does is told to nobody but its own people."""

    def __init__(self, feed: Feed, engine: Engine, is_serving: Callable[[], bool]) -> None:
        self._feed = feed
        self._engine = engine
        self._is_serving = is_serving

    def register(self, registry: CollectorRegistry) -> None:
        """Have a registry show these, and what the system knows of the process."""
        registry.register(self)
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        feed = self._feed.statistics
        yield InfoMetricFamily("smoothcore_build", "What runs here.", value={"version": VERSION})
        yield GaugeMetricFamily(
            "smoothcore_serving",
            "1 while calls are welcome: what the health service says.",
            value=self._is_serving(),
        )
        yield GaugeMetricFamily(
            "smoothcore_feed_following",
            "1 while the change log is followed; 0 where it cannot be read.",
            value=self._feed.is_following,
        )
        yield GaugeMetricFamily(
            "smoothcore_feed_watches", "Watches that are open.", value=feed.watches
        )
        yield SummaryMetricFamily(
            "smoothcore_feed_delay_seconds",
            "From the commit of a change set, by whichever server, until watchers here are told.",
            count_value=feed.passed_on,
            sum_value=feed.delay_s,
        )
        yield CounterMetricFamily(
            "smoothcore_feed_catch_ups",
            "Reads of the log for watchers that were behind all that is kept in memory.",
            value=feed.catch_ups,
        )
        yield GaugeMetricFamily(
            "smoothcore_database_connections",
            "Connections to the database that are in use.",
            value=self._engine.checked_out(),
        )
