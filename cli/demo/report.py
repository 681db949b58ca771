"""The demo's numbers side by side: what the streams say, what the ledger says, what was reckoned apart from both."""

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
"""The study's only one."""

Value = int | str | None


@dataclass(frozen=True, slots=True)
class Row:
    """One number, three times. None: not known there, and not compared."""

    name: str
    streams: Value
    ledger: Value
    reckoned: Value

    @property
    def same(self) -> bool:
        known = {value for value in (self.streams, self.ledger, self.reckoned) if value is not None}
        return len(known) == 1


def compare(reader: StreamReader, ledger: Totals, reckoned: Mapping[str, Any]) -> list[Row]:
    """All numbers. Whatever the reckoning counts must stand here, or it would not be compared."""
    entries = {one.kind: one for one in ledger.entries}
    burned, restored, issued = entries.get("burned"), entries.get("restored"), entries.get("issued")
    return [
        Row("coupons issued", reader.types["coupon.issued"], issued.entries if issued else 0, reckoned["issued"]),
        Row("orders with coupons", reader.orders, None, reckoned["orders"]),
        Row(
            "orders redeemed",
            reader.types["coupon.redeemed"],
            burned.redemptions if burned else 0,
            reckoned["orders_redeemed"],
        ),
        Row(
            "coupons redeemed", reader.coupons["coupon.redeemed"], burned.entries if burned else 0, reckoned["redeemed"]
        ),
        Row(
            f"discount in {CURRENCY}",
            f"{reader.discount:.2f}",
            format_minor(burned.used_minor if burned else 0, CURRENCY),
            reckoned["discount_amount"],
        ),
        Row(
            "refusals",
            reader.types["coupon.redemption_refused"],
            ledger.events.get("coupon.redemption_refused", 0),
            reckoned["refusals"],
        ),
        Row("coupons refused", reader.refused.total(), sum(ledger.refused.values()), reckoned["refused"]),
        *_by_reason(reader, ledger, reckoned["refused_by_reason"]),
        Row(
            "coupons restored",
            reader.coupons["coupon.redemption_restored"],
            restored.entries if restored else 0,
            reckoned["restored"],
        ),
        Row(
            "redemptions notified",
            reader.types["coupon.redemption_notified"],
            ledger.events.get("coupon.redemption_notified", 0),
            reckoned["notified"],
        ),
        Row("dead letters", reader.dead_letters.total(), None, reckoned["dead_letters"]),
        *_by_topic(reader, reckoned["dead_letters_by_topic"]),
        Row("events", reader.events, sum(ledger.events.values()), None),
        Row("events told twice", reader.repeated, None, 0),
    ]


def _by_reason(reader: StreamReader, ledger: Totals, reckoned: Mapping[str, int]) -> Iterator[Row]:
    for reason in sorted({*reader.refused, *ledger.refused, *reckoned}):
        yield Row(f"  {reason}", reader.refused[reason], ledger.refused.get(reason, 0), reckoned.get(reason, 0))


def _by_topic(reader: StreamReader, reckoned: Mapping[str, int]) -> Iterator[Row]:
    for topic in sorted({*reader.dead_letters, *reckoned}):
        yield Row(f"  on {topic}", reader.dead_letters[topic], None, reckoned.get(topic, 0))


def as_table(rows: list[Row]) -> Table:
    """The rows for people."""
    return table(
        ("", "streams", "ledger", "reckoned apart", ""),
        [
            (
                row.name,
                _shown(row.streams),
                _shown(row.ledger),
                _shown(row.reckoned),
                Text("same", style="green") if row.same else Text("DIFFERENT", style="bold red"),
            )
            for row in rows
        ],
        right=("streams", "ledger", "reckoned apart"),
    )


def _shown(value: Value) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else value
