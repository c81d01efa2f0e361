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
FORMATS = frozenset({"text/plain", "application/openmetrics-text", "application/vnd.google.protobuf"})
"""What scrapers ask for, all of them by name."""

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


def asked_for(accept: str) -> bool:
    """Whether a header `Accept` asks for a format of Prometheus': by name, and rather than for JSON."""
    prometheus = json = 0.0
    for item in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in item.split(";"))
        if kind in FORMATS:
            prometheus = max(prometheus, _quality(parameters))
        elif kind == "application/json":
            json = max(json, _quality(parameters))
    return prometheus > json


def _quality(parameters: list[str]) -> float:
    """How much a media range is wanted (RFC 9110 section 12.4.2)."""
    given = next((item[2:] for item in parameters if item.startswith("q=")), "1")
    try:
        return float(given)
    except ValueError:
        return 1.0
