"""Compare the demo's numbers from the streams and the ledger with those that were computed independently."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from cli.demo.streams import StreamReader
from cli.output import table
from shared.domain.model.money import format_minor
from shared.ledger.queries import Totals

CURRENCY = "USD"
"""The only currency of the study."""

Value = int | str | None


@dataclass(frozen=True, slots=True)
class Row:
    """One number from three sources. None means that a source doesn't have it; it isn't compared then."""

    name: str
    streams: Value
    ledger: Value
    expected: Value

    @property
    def same(self) -> bool:
        known = {value for value in (self.streams, self.ledger, self.expected) if value is not None}
        return len(known) == 1


def compare(reader: StreamReader, ledger: Totals, expected: Mapping[str, Any]) -> list[Row]:
    """Return all numbers. Every number of `expected` needs a row here, or it isn't compared."""
    entries = {one.kind: one for one in ledger.entries}
    burned, restored, issued = entries.get("burned"), entries.get("restored"), entries.get("issued")
    return [
        Row("coupons issued", reader.types["coupon.issued"], issued.entries if issued else 0, expected["issued"]),
        Row("orders with coupons", reader.orders, None, expected["orders"]),
        Row(
            "orders redeemed",
            reader.types["coupon.redeemed"],
            burned.redemptions if burned else 0,
            expected["orders_redeemed"],
        ),
        Row(
            "coupons redeemed", reader.coupons["coupon.redeemed"], burned.entries if burned else 0, expected["redeemed"]
        ),
        Row(
            f"discount in {CURRENCY}",
            f"{reader.discount:.2f}",
            format_minor(burned.used_minor if burned else 0, CURRENCY),
            expected["discount_amount"],
        ),
        Row(
            "refusals",
            reader.types["coupon.redemption_refused"],
            ledger.events.get("coupon.redemption_refused", 0),
            expected["refusals"],
        ),
        Row("coupons refused", reader.refused.total(), sum(ledger.refused.values()), expected["refused"]),
        *_by_reason(reader, ledger, expected["refused_by_reason"]),
        Row(
            "coupons restored",
            reader.coupons["coupon.redemption_restored"],
            restored.entries if restored else 0,
            expected["restored"],
        ),
        Row(
            "redemptions notified",
            reader.types["coupon.redemption_notified"],
            ledger.events.get("coupon.redemption_notified", 0),
            expected["notified"],
        ),
        Row("dead letters", reader.dead_letters.total(), None, expected["dead_letters"]),
        *_by_topic(reader, expected["dead_letters_by_topic"]),
        Row("events", reader.events, sum(ledger.events.values()), None),
        Row("duplicate events", reader.duplicates, None, 0),
    ]


def _by_reason(reader: StreamReader, ledger: Totals, expected: Mapping[str, int]) -> Iterator[Row]:
    for reason in sorted({*reader.refused, *ledger.refused, *expected}):
        yield Row(f"  {reason}", reader.refused[reason], ledger.refused.get(reason, 0), expected.get(reason, 0))


def _by_topic(reader: StreamReader, expected: Mapping[str, int]) -> Iterator[Row]:
    for topic in sorted({*reader.dead_letters, *expected}):
        yield Row(f"  on {topic}", reader.dead_letters[topic], None, expected.get(topic, 0))


def as_table(rows: list[Row]) -> Table:
    """Return the rows as a table to print."""
    return table(
        ("", "streams", "ledger", "computed independently", ""),
        [
            (
                row.name,
                _shown(row.streams),
                _shown(row.ledger),
                _shown(row.expected),
                Text("same", style="green") if row.same else Text("DIFFERENT", style="bold red"),
            )
            for row in rows
        ],
        right=("streams", "ledger", "computed independently"),
    )


def _shown(value: Value) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else value
