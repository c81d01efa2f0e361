"""Prometheus metrics: one registry per process, counted per batch on the hot path."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

REGISTRY = CollectorRegistry()
CONTENT_TYPE = CONTENT_TYPE_LATEST
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


def counter(name: str, text: str, *labels: str) -> Counter:
    """A number that only grows. `name` without the `parley_` prefix."""
    return Counter(f"parley_{name}", text, labels, registry=REGISTRY)


def gauge(name: str, text: str, *labels: str) -> Gauge:
    """A number that goes up and down."""
    return Gauge(f"parley_{name}", text, labels, registry=REGISTRY)


def histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...] = SIZES) -> Histogram:
    """A distribution; the default buckets suit batch sizes."""
    return Histogram(f"parley_{name}", text, labels, buckets=buckets, registry=REGISTRY)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
