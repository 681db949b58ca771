"""The life of an order as a table: what each event does to an order in each state.

The deciding code looks up here what to do, a test runs every row, and `services/redeemer/README.md` shows the rows: one
truth. The events' own times tell which row it is, however they arrive; every event may come twice, and the second time
finds nothing left to do.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from shared.domain.model.clock import END_OF_TIME
from shared.domain.model.state import LockState, OrderState
from shared.domain.model.value import value


class Phase(StrEnum):
    """How an order stands, as far as an event can tell the difference."""

    __hash__ = str.__hash__  # an enum's own takes a call

    UNKNOWN = "unknown"
    NOTED = "noted"
    PLACED = "placed"
    HELD = "held"
    LAPSED = "lapsed"
    CANCELLED = "cancelled"
    RETURNED = "returned"
    BOTH = "cancelled and returned"


PHASES: Final[dict[Phase, str]] = {
    Phase.UNKNOWN: "Nothing was heard of it.",
    Phase.NOTED: "It was paid, came back in part, or used coupons, before anybody said what it is.",
    Phase.PLACED: "It was placed; what was accepted is redeemed. Paid or not.",
    Phase.HELD: "It holds its coupons until it is paid (`COUPONRY_BURN_ON=paid` only).",
    Phase.LAPSED: "It isn't paid, and the time is over for which it held its coupons.",
    Phase.CANCELLED: "It was cancelled.",
    Phase.RETURNED: "All of it came back, at once or in parts.",
    Phase.BOTH: "It was cancelled, and all of it came back.",
}


class OrderEvent(StrEnum):
    """An event of an order, told apart by its own time where that makes a difference."""

    __hash__ = str.__hash__  # an enum's own takes a call

    PLACED = "placed"
    PLACED_ANEW = "placed, later than its closing"
    PAID = "paid"
    PAID_EARLIER = "paid, not later than its last closing"
    CANCELLED = "cancelled"
    CANCELLED_EARLIER = "cancelled, earlier than it was placed"
    RETURNED = "returned"
    RETURNED_EARLIER = "returned, earlier than it was placed"
    PART = "returned in part"
    PART_LAST = "returned in part, and thereby all of it"
    PART_EARLIER = "returned in part, before this placing"
    PART_LATER = "returned in part, later than its closing"


class Effect(StrEnum):
    """What is done. Each is one piece of the deciding code."""

    __hash__ = str.__hash__  # an enum's own takes a call

    JUDGE = "judge"
    REFUSE = "refuse"
    NOTE = "note"
    BURN = "burn"
    REFUSE_LATE = "refuse as late"
    CLOSE = "close"
    NOTE_TIME = "note the time"
    SHARE = "give back a share"
    NOTHING = "nothing"


@value
class Row:
    """One row: in this phase this event has this effect; one sentence for people."""

    phase: Phase
    event: OrderEvent
    effect: Effect
    sentence: str


_CLOSED = (Phase.CANCELLED, Phase.RETURNED, Phase.BOTH)
_OPEN = (Phase.PLACED, Phase.HELD, Phase.LAPSED)
_BEFORE = (Phase.UNKNOWN, Phase.NOTED)
_SEEN = (Phase.NOTED, *_OPEN, *_CLOSED)


def _rows(phases: tuple[Phase, ...], event: OrderEvent, effect: Effect, sentence: str) -> list[Row]:
    return [Row(phase, event, effect, sentence) for phase in phases]


_FIRST = "Its coupons are judged, and redeemed or held; an order that was paid already redeems at once."
_AGAIN = "What stands stays and causes no second event; codes that it newly names are judged."
_ANEW = "Judged anew, as an order of its own; what was not given back still stands."
_REFUSED = "This is the order that was closed: every coupon is refused, `order_mismatch`."
_OLD = "It belongs to the order as it was before: nothing."
_NOTED_CLOSED = "Noted: the order may be on its way to be placed anew."
_TIME = "Nothing more; a later time counts for what is placed anew."
_RESTORE = "Restored, where the campaign's `restore_on` says so."
_SHARED = "The discount's share of what came back, where `restore_on` names `order.returned`; no use."
_ALL_BACK = "All of it is back: what a whole return does, with what is left of the discount."

TABLE: Final[tuple[Row, ...]] = (
    *_rows(_BEFORE, OrderEvent.PLACED, Effect.JUDGE, _FIRST),
    *_rows((*_OPEN,), OrderEvent.PLACED, Effect.JUDGE, _AGAIN),
    *_rows(_CLOSED, OrderEvent.PLACED, Effect.REFUSE, _REFUSED),
    *_rows(_CLOSED, OrderEvent.PLACED_ANEW, Effect.JUDGE, _ANEW),
    *_rows(_BEFORE, OrderEvent.PAID, Effect.NOTE, "Noted: when it is placed, it redeems at once."),
    Row(Phase.PLACED, OrderEvent.PAID, Effect.NOTE, "Noted."),
    Row(Phase.HELD, OrderEvent.PAID, Effect.BURN, "What it holds is redeemed, at the discounts it was held at."),
    Row(
        Phase.LAPSED, OrderEvent.PAID, Effect.REFUSE_LATE,
        "Noted; what it held and has not redeemed since is refused, `lock_expired`.",
    ),
    *_rows(_CLOSED, OrderEvent.PAID, Effect.NOTE, _NOTED_CLOSED),
    *_rows(_SEEN, OrderEvent.PAID_EARLIER, Effect.NOTHING, _OLD),
    *_rows(_BEFORE, OrderEvent.CANCELLED, Effect.CLOSE, "Noted: placed not later than that, it is refused."),
    Row(Phase.PLACED, OrderEvent.CANCELLED, Effect.CLOSE, _RESTORE),
    Row(Phase.HELD, OrderEvent.CANCELLED, Effect.CLOSE, "What it holds is released, what it redeemed restored."),
    Row(Phase.LAPSED, OrderEvent.CANCELLED, Effect.CLOSE, _RESTORE),
    Row(Phase.CANCELLED, OrderEvent.CANCELLED, Effect.NOTE_TIME, _TIME),
    Row(Phase.RETURNED, OrderEvent.CANCELLED, Effect.CLOSE, "What only a cancellation restores is restored."),
    Row(Phase.BOTH, OrderEvent.CANCELLED, Effect.NOTE_TIME, _TIME),
    *_rows(_SEEN, OrderEvent.CANCELLED_EARLIER, Effect.NOTHING, _OLD),
    *_rows(_BEFORE, OrderEvent.RETURNED, Effect.CLOSE, "Noted: placed not later than that, it is refused."),
    Row(Phase.PLACED, OrderEvent.RETURNED, Effect.CLOSE, _RESTORE),
    Row(Phase.HELD, OrderEvent.RETURNED, Effect.CLOSE, "What it holds is released, what it redeemed restored."),
    Row(Phase.LAPSED, OrderEvent.RETURNED, Effect.CLOSE, _RESTORE),
    Row(Phase.CANCELLED, OrderEvent.RETURNED, Effect.CLOSE, "What only a return restores is restored."),
    Row(Phase.RETURNED, OrderEvent.RETURNED, Effect.NOTE_TIME, _TIME),
    Row(Phase.BOTH, OrderEvent.RETURNED, Effect.NOTE_TIME, _TIME),
    *_rows(_SEEN, OrderEvent.RETURNED_EARLIER, Effect.NOTHING, _OLD),
    *_rows(_BEFORE, OrderEvent.PART, Effect.NOTE, "Noted: its share is given back right after it redeems."),
    Row(Phase.PLACED, OrderEvent.PART, Effect.SHARE, _SHARED),
    Row(Phase.HELD, OrderEvent.PART, Effect.SHARE, "Noted: its share is given back right after the payment redeems."),
    Row(Phase.LAPSED, OrderEvent.PART, Effect.SHARE, _SHARED),
    Row(Phase.CANCELLED, OrderEvent.PART, Effect.SHARE, "The share of what the cancellation did not restore."),
    *_rows((Phase.RETURNED, Phase.BOTH), OrderEvent.PART, Effect.NOTHING, "All of it is back already: nothing."),
    *_rows((*_OPEN, Phase.CANCELLED), OrderEvent.PART_LAST, Effect.CLOSE, _ALL_BACK),
    *_rows(_SEEN, OrderEvent.PART_EARLIER, Effect.NOTHING, _OLD),
    *_rows(_CLOSED, OrderEvent.PART_LATER, Effect.NOTE, _NOTED_CLOSED),
)  # fmt: skip

_EFFECTS: Final[dict[tuple[Phase, OrderEvent], Effect]] = {(row.phase, row.event): row.effect for row in TABLE}


def effect_of(phase: Phase, event: OrderEvent) -> Effect:
    """What `event` does to an order in `phase`. The functions below make only pairs that have a row."""
    return _EFFECTS[phase, event]


def phase_of(known: OrderState | None, hold: LockState | None, now: datetime) -> Phase:
    """How the order stands at `now`; `hold` is its own lock (`state.order_hold`)."""
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
    return Phase.NOTED if known.currency is None else Phase.PLACED


def placing_event(known: OrderState | None, placing: datetime) -> OrderEvent:
    """A placing at this time."""
    anew = known is not None and is_placed_again(known, placing)
    return OrderEvent.PLACED_ANEW if anew else OrderEvent.PLACED


def paying_event(known: OrderState | None, at: datetime) -> OrderEvent:
    """A payment at this time; one that is not later than the last closing belongs to what was closed."""
    closing = None if known is None else last_closing(known)
    return OrderEvent.PAID_EARLIER if closing is not None and at <= closing else OrderEvent.PAID


def closing_event(known: OrderState | None, how: Literal["cancelled", "returned"], at: datetime) -> OrderEvent:
    """A cancellation or a whole return at this time."""
    earlier = known is not None and known.placed_at is not None and at < known.placed_at
    if how == "cancelled":
        return OrderEvent.CANCELLED_EARLIER if earlier else OrderEvent.CANCELLED
    return OrderEvent.RETURNED_EARLIER if earlier else OrderEvent.RETURNED


def part_event(known: OrderState | None, at: datetime) -> OrderEvent:
    """A return in part at this time, apart from whether it makes the whole.

    A time at which an order was placed anew belongs to the order that was closed, as every time before.
    """
    if known is None:
        return OrderEvent.PART
    closing = last_closing(known)
    if is_closed(known) and closing is not None and at > closing:
        return OrderEvent.PART_LATER
    placed_at = known.placed_at
    if placed_at is not None and (at < placed_at or (at == placed_at and not is_closed(known) and closing is not None)):
        return OrderEvent.PART_EARLIER
    return OrderEvent.PART


def _closed_since(known: OrderState, how: Literal["cancelled", "returned"]) -> bool:
    """Whether the order was closed this way since it was last placed."""
    closed_at = known.cancelled_at if how == "cancelled" else known.returned_at
    return closed_at is not None and (known.placed_at is None or closed_at >= known.placed_at)


# Closed orders


def is_closed(order: OrderState) -> bool:
    """Return whether the order is cancelled or returned."""
    return order.status in {"cancelled", "returned"}


def last_closing(order: OrderState) -> datetime | None:
    """Return when the order was last cancelled or returned, by the events' own times; None where it never was."""
    times = [time for time in (order.cancelled_at, order.returned_at) if time is not None]
    if times:
        return max(times)
    return END_OF_TIME if is_closed(order) else None


def paid_since_closing(order: OrderState) -> bool:
    """Return whether the order is paid, now or once it is placed again."""
    if order.status == "paid":
        return True
    closing = last_closing(order)
    return order.paid_at is not None and (closing is None or order.paid_at > closing)


def is_placed_again(order: OrderState, placing: datetime) -> bool:
    """Return whether a placing at this time places a closed order again."""
    closing = last_closing(order)
    return is_closed(order) and closing is not None and placing > closing
