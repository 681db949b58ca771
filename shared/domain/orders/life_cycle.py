"""The life of an order as a table: what each event does to an order in each state.

The deciding code looks up its effects here, a test runs every row, and `services/redeemer/README.md` lists the rows.
The row depends on the events' own times, not on the order of their arrival. Every event may arrive twice; the second
time nothing is left to do.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from shared.domain.model.clock import END_OF_TIME
from shared.domain.model.state import LockState, OrderState
from shared.domain.model.value import value


class Phase(StrEnum):
    """The state of an order, as far as it matters to an event."""

    __hash__ = str.__hash__  # an enum's own takes a call

    UNKNOWN = "unknown"
    RECORDED = "recorded"
    PLACED = "placed"
    HELD = "held"
    LAPSED = "lapsed"
    CANCELLED = "cancelled"
    RETURNED = "returned"
    BOTH = "cancelled and returned"


PHASES: Final[dict[Phase, str]] = {
    Phase.UNKNOWN: "No event is known.",
    Phase.RECORDED: "It was paid, returned in part, or used coupons, before the event that places it arrived.",
    Phase.PLACED: "It was placed, and its accepted coupons are redeemed. It may be paid or not.",
    Phase.HELD: "It holds its coupons until it is paid (`COUPONRY_BURN_ON=paid` only).",
    Phase.LAPSED: "It isn't paid, and its hold on the coupons has expired.",
    Phase.CANCELLED: "It was cancelled.",
    Phase.RETURNED: "All of it was returned, at once or in parts.",
    Phase.BOTH: "It was cancelled, and all of it was returned.",
}


class OrderEvent(StrEnum):
    """An event of an order. Its own time distinguishes the variants."""

    __hash__ = str.__hash__  # an enum's own takes a call

    PLACED = "placed"
    PLACED_AGAIN = "placed again after it was cancelled or returned"
    PAID = "paid"
    PAID_EARLIER = "paid, not later than it was last cancelled or returned"
    CANCELLED = "cancelled"
    CANCELLED_EARLIER = "cancelled, earlier than it was placed"
    RETURNED = "returned"
    RETURNED_EARLIER = "returned, earlier than it was placed"
    PART = "returned in part"
    PART_LAST = "returned in part, the last part"
    PART_EARLIER = "returned in part, earlier than it was placed"
    PART_LATER = "returned in part, after it was cancelled or returned"


class Effect(StrEnum):
    """The effect of an event on an order."""

    __hash__ = str.__hash__  # an enum's own takes a call

    JUDGE = "judge"
    REFUSE = "refuse"
    RECORD = "record"
    BURN = "burn"
    REFUSE_LATE = "refuse as late"
    CLOSE = "close"
    RECORD_TIME = "record the time"
    SHARE = "restore a share"
    NOTHING = "nothing"


@value
class Row:
    """One row: in `phase`, `event` has `effect`. `sentence` explains it for README.md."""

    phase: Phase
    event: OrderEvent
    effect: Effect
    sentence: str


_CLOSED = (Phase.CANCELLED, Phase.RETURNED, Phase.BOTH)
_OPEN = (Phase.PLACED, Phase.HELD, Phase.LAPSED)
_BEFORE = (Phase.UNKNOWN, Phase.RECORDED)
_SEEN = (Phase.RECORDED, *_OPEN, *_CLOSED)


def _rows(phases: tuple[Phase, ...], event: OrderEvent, effect: Effect, sentence: str) -> list[Row]:
    return [Row(phase, event, effect, sentence) for phase in phases]


_FIRST = "Its coupons are judged, and redeemed or held; an order that was paid already redeems at once."
_SAME = "Coupons that it has are kept, without a second event; codes that it newly names are judged."
_AGAIN = "Judged again, as an order of its own; redemptions that were not restored are kept."
_REFUSED = "This is the order that was closed: every coupon is refused, `order_mismatch`."
_OLD = "Nothing: it belongs to an earlier order with this id."
_RECORDED_CLOSED = "Recorded: the event that places the order again may still arrive."
_TIME = "No other effect; only an event with a later time places the order again."
_RESTORE = "Restored if the campaign's `restore_on` says so."
_SHARED = "The returned part's share is restored if `restore_on` names `order.returned`; no use is."
_FULLY_RETURNED = "All of it is returned: same as a whole return, with the remaining discount."

TABLE: Final[tuple[Row, ...]] = (
    *_rows(_BEFORE, OrderEvent.PLACED, Effect.JUDGE, _FIRST),
    *_rows((*_OPEN,), OrderEvent.PLACED, Effect.JUDGE, _SAME),
    *_rows(_CLOSED, OrderEvent.PLACED, Effect.REFUSE, _REFUSED),
    *_rows(_CLOSED, OrderEvent.PLACED_AGAIN, Effect.JUDGE, _AGAIN),
    *_rows(_BEFORE, OrderEvent.PAID, Effect.RECORD, "Recorded: when it is placed, it redeems at once."),
    Row(Phase.PLACED, OrderEvent.PAID, Effect.RECORD, "Recorded."),
    Row(Phase.HELD, OrderEvent.PAID, Effect.BURN, "What it holds is redeemed, at the discounts it was held at."),
    Row(
        Phase.LAPSED, OrderEvent.PAID, Effect.REFUSE_LATE,
        "Recorded; what it held and has not redeemed since is refused, `lock_expired`.",
    ),
    *_rows(_CLOSED, OrderEvent.PAID, Effect.RECORD, _RECORDED_CLOSED),
    *_rows(_SEEN, OrderEvent.PAID_EARLIER, Effect.NOTHING, _OLD),
    *_rows(_BEFORE, OrderEvent.CANCELLED, Effect.CLOSE, "Recorded: it is refused if it was placed before that."),
    Row(Phase.PLACED, OrderEvent.CANCELLED, Effect.CLOSE, _RESTORE),
    Row(Phase.HELD, OrderEvent.CANCELLED, Effect.CLOSE, "What it holds is released, what it redeemed restored."),
    Row(Phase.LAPSED, OrderEvent.CANCELLED, Effect.CLOSE, _RESTORE),
    Row(Phase.CANCELLED, OrderEvent.CANCELLED, Effect.RECORD_TIME, _TIME),
    Row(Phase.RETURNED, OrderEvent.CANCELLED, Effect.CLOSE, "What only a cancellation restores is restored."),
    Row(Phase.BOTH, OrderEvent.CANCELLED, Effect.RECORD_TIME, _TIME),
    *_rows(_SEEN, OrderEvent.CANCELLED_EARLIER, Effect.NOTHING, _OLD),
    *_rows(_BEFORE, OrderEvent.RETURNED, Effect.CLOSE, "Recorded: it is refused if it was placed before that."),
    Row(Phase.PLACED, OrderEvent.RETURNED, Effect.CLOSE, _RESTORE),
    Row(Phase.HELD, OrderEvent.RETURNED, Effect.CLOSE, "What it holds is released, what it redeemed restored."),
    Row(Phase.LAPSED, OrderEvent.RETURNED, Effect.CLOSE, _RESTORE),
    Row(Phase.CANCELLED, OrderEvent.RETURNED, Effect.CLOSE, "What only a return restores is restored."),
    Row(Phase.RETURNED, OrderEvent.RETURNED, Effect.RECORD_TIME, _TIME),
    Row(Phase.BOTH, OrderEvent.RETURNED, Effect.RECORD_TIME, _TIME),
    *_rows(_SEEN, OrderEvent.RETURNED_EARLIER, Effect.NOTHING, _OLD),
    *_rows(_BEFORE, OrderEvent.PART, Effect.RECORD, "Recorded: its share is restored right after it redeems."),
    Row(Phase.PLACED, OrderEvent.PART, Effect.SHARE, _SHARED),
    Row(Phase.HELD, OrderEvent.PART, Effect.SHARE, "Recorded: its share is restored right after the payment."),
    Row(Phase.LAPSED, OrderEvent.PART, Effect.SHARE, _SHARED),
    Row(Phase.CANCELLED, OrderEvent.PART, Effect.SHARE, "The share of what the cancellation did not restore."),
    *_rows((Phase.RETURNED, Phase.BOTH), OrderEvent.PART, Effect.NOTHING, "Nothing: all of it is returned already."),
    *_rows((*_OPEN, Phase.CANCELLED), OrderEvent.PART_LAST, Effect.CLOSE, _FULLY_RETURNED),
    *_rows(_SEEN, OrderEvent.PART_EARLIER, Effect.NOTHING, _OLD),
    *_rows(_CLOSED, OrderEvent.PART_LATER, Effect.RECORD, _RECORDED_CLOSED),
)  # fmt: skip

_EFFECTS: Final[dict[tuple[Phase, OrderEvent], Effect]] = {(row.phase, row.event): row.effect for row in TABLE}


def effect_of(phase: Phase, event: OrderEvent) -> Effect:
    """Return the effect of `event` on an order in `phase`. The functions below only make pairs that have a row."""
    return _EFFECTS[phase, event]


def phase_of(known: OrderState | None, hold: LockState | None, now: datetime) -> Phase:
    """Return the phase of the order at `now`; `hold` is its own lock (`state.order_hold`)."""
    if known is not None and is_closed(known):
        if _closed_since(known, "returned" if known.status == "cancelled" else "cancelled"):
            return Phase.BOTH
        return Phase.CANCELLED if known.status == "cancelled" else Phase.RETURNED
    if hold is not None and hold.status in {"open", "expired"}:
        if hold.status == "open" and hold.expires_at > now:
            return Phase.HELD
        if known is None or known.status != "paid":
            return Phase.LAPSED
    if known is None:
        return Phase.UNKNOWN
    return Phase.RECORDED if known.currency is None else Phase.PLACED


def placing_event(known: OrderState | None, placed_at: datetime) -> OrderEvent:
    """Return the event for an order placed at `placed_at`."""
    placed_again = known is not None and is_placed_again(known, placed_at)
    return OrderEvent.PLACED_AGAIN if placed_again else OrderEvent.PLACED


def paying_event(known: OrderState | None, at: datetime) -> OrderEvent:
    """Return the event for a payment. One until the last cancellation or return belongs to the closed order."""
    closed_at = None if known is None else last_closed_at(known)
    return OrderEvent.PAID_EARLIER if closed_at is not None and at <= closed_at else OrderEvent.PAID


def closing_event(known: OrderState | None, how: Literal["cancelled", "returned"], at: datetime) -> OrderEvent:
    """Return the event for a cancellation or a whole return."""
    earlier = known is not None and known.placed_at is not None and at < known.placed_at
    if how == "cancelled":
        return OrderEvent.CANCELLED_EARLIER if earlier else OrderEvent.CANCELLED
    return OrderEvent.RETURNED_EARLIER if earlier else OrderEvent.RETURNED


def part_event(known: OrderState | None, at: datetime) -> OrderEvent:
    """Return the event for a return in part; never PART_LAST, which depends on the other parts.

    A part at the very time the order was placed again belongs to the closed order, like every part before it.
    """
    if known is None:
        return OrderEvent.PART
    closed_at = last_closed_at(known)
    if is_closed(known) and closed_at is not None and at > closed_at:
        return OrderEvent.PART_LATER
    placed_at = known.placed_at
    was_placed_again = closed_at is not None and not is_closed(known)
    if placed_at is not None and (at < placed_at or (at == placed_at and was_placed_again)):
        return OrderEvent.PART_EARLIER
    return OrderEvent.PART


def _closed_since(known: OrderState, how: Literal["cancelled", "returned"]) -> bool:
    """Return whether the order was closed this way since it was last placed."""
    closed_at = known.cancelled_at if how == "cancelled" else known.returned_at
    return closed_at is not None and (known.placed_at is None or closed_at >= known.placed_at)


# Closed orders


def is_closed(order: OrderState) -> bool:
    """Return whether the order is cancelled or returned."""
    return order.status in {"cancelled", "returned"}


def last_closed_at(order: OrderState) -> datetime | None:
    """Return when the order was last cancelled or returned, by the events' own times; None if it never was."""
    times = [time for time in (order.cancelled_at, order.returned_at) if time is not None]
    if times:
        return max(times)
    return END_OF_TIME if is_closed(order) else None


def paid_since_closed(order: OrderState) -> bool:
    """Return whether the order is paid, now or once it is placed again."""
    if order.status == "paid":
        return True
    closed_at = last_closed_at(order)
    return order.paid_at is not None and (closed_at is None or order.paid_at > closed_at)


def is_placed_again(order: OrderState, placed_at: datetime) -> bool:
    """Return whether the order is closed and an event at `placed_at` places it again."""
    closed_at = last_closed_at(order)
    return is_closed(order) and closed_at is not None and placed_at > closed_at
