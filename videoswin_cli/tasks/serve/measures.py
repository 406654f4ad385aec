"""Figures of a server for Prometheus."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest

from videoswin_cli.engine.progress import Monitor
from videoswin_cli.tasks.serve.gate import Gate

_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)  # s


class Measures:
    """Counts and times of requests."""

    def __init__(self, monitor: Monitor, receiving: Gate, computing: Gate) -> None:
        """`monitor` is that of the forward loop."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "videoswin_requests",
            "Requests for an answer.",
            ["answer", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "videoswin_request_seconds",
            "Seconds from the request to its answer.",
            ["answer"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._show(
            "requests_receiving", "Requests whose video is on its way or waits.", receiving, "taken"
        )
        self._show(
            "requests_running",
            "Requests whose video is computed or about to be.",
            computing,
            "taken",
        )
        for name, text in (
            ("decode_seconds", "Seconds spent decoding, added up over the threads."),
            ("model_seconds", "Seconds spent in the network."),
        ):
            self._show(name, text, monitor, name)

    def _show(self, name: str, text: str, holder: object, attribute: str) -> None:
        gauge = Gauge(f"videoswin_{name}", text, registry=self.registry)
        gauge.set_function(partial(getattr, holder, attribute))

    def text(self) -> bytes:
        """All of them in the format of Prometheus."""
        return generate_latest(self.registry)
