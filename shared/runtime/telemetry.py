"""Prometheus metrics of `/metrics`. Names end in their unit."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

EVENTS_PROCESSED: Final = Counter(
    "couponry_events_processed_total", "Events whose offset was committed.", ["service", "type"]
)
REFUSED: Final = Counter(
    "couponry_refused_total", "Verdicts that refused, by their first reason.", ["service", "reason"]
)
UNCHANGED: Final = Counter(
    "couponry_unchanged_total", "Events and requests that asked for a change and changed nothing.", ["service", "why"]
)
DEAD_LETTERS: Final = Counter(
    "couponry_dead_letters_total", "Records that could not be read or executed.", ["service", "topic", "error_class"]
)
BUGS: Final = Counter("couponry_bugs_total", "Bugs that were isolated to one command, event or lock.", ["where"])
TRANSIENT_ERRORS: Final = Counter(
    "couponry_transient_errors_total", "Attempts that failed because of an outage.", ["service", "what"]
)
REBALANCES: Final = Counter("couponry_rebalances_total", "Assignments of partitions received.", ["service"])
BATCH_RECORDS: Final = Histogram(
    "couponry_batch_records",
    "Records per batch.",
    ["service"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000),
)
BATCH_SECONDS: Final = Histogram(
    "couponry_batch_seconds",
    "From a batch's decoding to its committed offsets.",
    ["service"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
CONSUMER_LAG: Final = Gauge(
    "couponry_consumer_lag_records", "Records not yet executed.", ["service", "topic", "partition"]
)
OUTBOX_AGE: Final = Gauge("couponry_outbox_age_seconds", "Age of the oldest unpublished event; 0 for none.")
EVENTS_PUBLISHED: Final = Counter("couponry_events_published_total", "Events the relay published.", ["topic"])
EVENTS_WITHHELD: Final = Counter(
    "couponry_events_withheld_total", "Events that the relay could not publish and withheld.", ["topic", "reason"]
)
EVENTS_WITHHELD_OPEN: Final = Gauge(
    "couponry_events_withheld_open", "Withheld events that are not published yet; reported by the leading relay."
)
RELAY_LEADER: Final = Gauge("couponry_relay_leader", "1 in the relay that publishes, 0 in one that stands by.")
HTTP_RESPONSES: Final = Counter("couponry_http_answers_total", "Requests answered over HTTP.", ["api", "status"])
HTTP_SECONDS: Final = Histogram(
    "couponry_http_seconds",
    "From a request's arrival to its response.",
    ["api"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
HTTP_CUT: Final = Counter(
    "couponry_http_connections_cut_total", "Connections closed by a limit of the server, before any route.", ["why"]
)
HTTP_GUESSES: Final = Counter(
    "couponry_http_guesses_total", "Requests for unknown codes, locks, customers and similar.", ["api"]
)
HEAVY_REQUESTS: Final = Counter(
    "couponry_http_heavy_total", "Requests for the heavy process, by what became of them.", ["outcome"]
)
HEAVY_RUNNING: Final = Gauge("couponry_http_heavy_running", "1 while the heavy process takes requests, else 0.")
HEAVY_WAITING: Final = Gauge("couponry_http_heavy_waiting", "Requests that wait for the heavy process.")
HEAVY_MEMORY: Final = Gauge("couponry_http_heavy_memory_bytes", "Resident memory of the heavy process.")

Increment = tuple[str, tuple[str, ...], float]
"""(a counter's name, its labels' values, by how much it grew)"""

_COUNTERS: Final = {
    next(iter(one.describe())).name: one for one in list(globals().values()) if isinstance(one, Counter)
}


class Increments:
    """By how much the counters of this process grew, for the process that shows them."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, tuple[str, ...]], float] = {}

    def take(self) -> list[Increment]:
        """Return what was counted since the last call."""
        found: list[Increment] = []
        for name, counter in _COUNTERS.items():
            for metric in counter.collect():
                for sample in metric.samples:
                    place = (name, tuple(sample.labels.values()))
                    if sample.name.endswith("_total") and sample.value > self._before.get(place, 0.0):
                        found.append((*place, sample.value - self._before.get(place, 0.0)))
                        self._before[place] = sample.value
        return found


def add(increments: Iterable[Increment]) -> None:
    """Count what another process counted."""
    for name, labels, count in increments:
        counter = _COUNTERS[name]
        (counter.labels(*labels) if labels else counter).inc(count)
