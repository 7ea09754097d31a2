"""What a server tells Prometheus. Each server has a registry of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Requests by route and status, their seconds, waiting texts, batches and tokens."""

    def __init__(self, waiting: Callable[[], float]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "edgepipe_requests",
            "Requests answered; status 499: the client had gone.",
            ["route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "edgepipe_request_seconds",
            "From the head of a request to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batch = Histogram(
            "edgepipe_batch_texts", "Texts of a batch.", buckets=_TEXTS, registry=self._registry
        )
        self._tokens = Counter(
            "edgepipe_tokens", "Tokens computed, without padding.", registry=self._registry
        )
        Gauge(
            "edgepipe_waiting_texts",
            "Texts accepted that no worker has taken yet.",
            registry=self._registry,
        ).set_function(waiting)

    def request(self, route: str, status: int, seconds: float) -> None:
        """One request has had its answer."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, lengths: Sequence[int]) -> None:
        """One batch of texts with these token counts was computed."""
        self._batch.observe(len(lengths))
        self._tokens.inc(sum(lengths))

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
