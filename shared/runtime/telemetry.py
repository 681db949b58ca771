"""Prometheus metrics of `/metrics`. Names end in their unit."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

EVENTS_PROCESSED: Final = Counter(
    "couponry_events_processed_total", "Events whose offset was committed.", ["service", "type"]
)
REFUSED: Final = Counter(
    "couponry_refused_total", "Verdicts that refused, by their first reason.", ["service", "reason"]
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
HTTP_ANSWERS: Final = Counter("couponry_http_answers_total", "Requests answered over HTTP.", ["api", "status"])
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
