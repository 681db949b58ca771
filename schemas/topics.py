"""The topics: their names, keys and layout, with reasons.

    from schemas.topics import ORDERS, dead_letter_topic
    ORDERS.name                              # "orders"
    ORDERS.prefixed("test-1.")               # "test-1.orders"
    dead_letter_topic("orders", "redeemer")  # "orders.redeemer.dlq"

A prefix precedes every topic's name, so that several installations (or test runs) can share one broker.
Source of names, keys and readers: `schemas/README.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

CleanupPolicy = Literal["delete", "compact"]

DAY_MS = 24 * 60 * 60 * 1_000

KEEP_INPUT_MS = 14 * DAY_MS
"""Input is kept for longer than the services are likely to be down. After that the ledger has the facts."""

KEEP_OUTPUT_MS = 90 * DAY_MS
"""A new consumer can read the output of a quarter. Older facts are in the ledger."""

KEEP_DEAD_LETTERS_MS = 90 * DAY_MS
"""An operator must have time to look at dead letters, even after holidays."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic and its layout.

    `key`: the records' key (records of one key stay in order). `readers`: the services of Couponry that read it.
    `partitions` limits how many processes of one service share the work. `retention_ms` is in milliseconds, -1 for
    ever. `reason` explains the layout in one sentence.
    """

    name: str
    key: str
    partitions: int
    retention_ms: int
    reason: str
    readers: tuple[str, ...] = ()
    cleanup_policy: CleanupPolicy = "delete"

    def prefixed(self, prefix: str) -> str:
        """Return the name on a broker where every topic has `prefix`."""
        return prefix + self.name

    @property
    def config(self) -> dict[str, str]:
        """The topic's Kafka settings for its creation."""
        return {"cleanup.policy": self.cleanup_policy, "retention.ms": str(self.retention_ms)}


REWARDS = Topic(
    name="rewards",
    key="customer id",
    partitions=6,
    retention_ms=KEEP_INPUT_MS,
    readers=("issuer",),
    reason="A customer's rewards stay in order; six issuers can share them.",
)
SIGNUPS = Topic(
    name="signups",
    key="customer id",
    partitions=6,
    retention_ms=KEEP_INPUT_MS,
    readers=("issuer",),
    reason="A customer's sign-ups stay in order; six issuers can share them.",
)
ORDERS = Topic(
    name="orders",
    key="order id",
    partitions=12,
    retention_ms=KEEP_INPUT_MS,
    readers=("redeemer",),
    reason="An order is placed before it is cancelled; the busiest input, so twelve redeemers can share it.",
)
COUPONS_ISSUED = Topic(
    name="coupons.issued",
    key="customer id",
    partitions=6,
    retention_ms=KEEP_OUTPUT_MS,
    reason="A customer's coupons arrive in the order in which they were issued.",
)
COUPONS_REDEMPTIONS = Topic(
    name="coupons.redemptions",
    key="order id",
    partitions=12,
    retention_ms=KEEP_OUTPUT_MS,
    readers=("notifier",),
    reason="An order's redemption comes before its restoring; as many partitions as the topic `orders`.",
)
COUPONS_REDEMPTION_NOTIFICATIONS = Topic(
    name="coupons.redemption-notifications",
    key="order id",
    partitions=6,
    retention_ms=KEEP_OUTPUT_MS,
    reason="At most one notification per order; six readers are enough.",
)
COUPONS_LIFECYCLE = Topic(
    name="coupons.lifecycle",
    key="coupon id",
    partitions=6,
    retention_ms=KEEP_OUTPUT_MS,
    reason="A coupon's events stay in order: locked before released.",
)
RELAY_POSITION = Topic(
    name="couponry.relay-position",
    key="none",
    partitions=1,
    retention_ms=-1,
    cleanup_policy="compact",
    reason="Never written to: the relay's committed offset on it is the last outbox position that was published.",
)

EVENT_TOPICS: tuple[Topic, ...] = (
    REWARDS,
    SIGNUPS,
    ORDERS,
    COUPONS_ISSUED,
    COUPONS_REDEMPTIONS,
    COUPONS_REDEMPTION_NOTIFICATIONS,
    COUPONS_LIFECYCLE,
)
"""The topics that carry events, in the order of the flow."""


def dead_letter_topic(topic: str, service: str) -> str:
    """Return the dead-letter topic of `service` for `topic`. A prefix of `topic` is kept."""
    return f"{topic}.{service}.dlq"


def all_topics(prefix: str = "") -> Iterator[Topic]:
    """Yield every topic of an installation with its prefix: events, dead letters, the relay's position."""
    for topic in EVENT_TOPICS:
        yield replace(topic, name=topic.prefixed(prefix))
    for topic in EVENT_TOPICS:
        for service in topic.readers:
            yield Topic(
                name=dead_letter_topic(topic.prefixed(prefix), service),
                key="as read",
                partitions=1,
                retention_ms=KEEP_DEAD_LETTERS_MS,
                reason="Few records, read by an operator: one partition keeps them in order.",
            )
    yield replace(RELAY_POSITION, name=RELAY_POSITION.prefixed(prefix))
