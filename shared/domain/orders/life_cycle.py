"""The life of an order as a table: what each event does to an order in each state.

The deciding code looks up its effects here, a test runs every row, and `docs/order-lifecycle.md` lists the rows.
The row depends on the events' own times, not on the order of their arrival. Every event may arrive twice; the second
time nothing is left to do.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from shared.domain.model.state import LockState, OrderState
from shared.domain.model.value import value
from shared.domain.orders.closed import closed_since, is_closed


class Phase(StrEnum):
    """The state of an order, as far as it matters to an event."""

    __hash__ = str.__hash__  # an enum's own takes a call

    UNKNOWN = "unknown"
    RECORDED = "recorded"
    PLACED = "placed"
    PAID = "paid"
    HELD = "held"
    LAPSED = "lapsed"
    RELEASED = "released"
    CANCELLED = "cancelled"
    RETURNED = "returned"
    BOTH = "cancelled and returned"


PHASES: Final[dict[Phase, str]] = {
    Phase.UNKNOWN: "No event is known.",
    Phase.RECORDED: "It was paid, returned in part, or used coupons, before the event that places it arrived.",
    Phase.PLACED: "It was placed, and its accepted coupons are redeemed.",
    Phase.PAID: "It was placed and paid, and its accepted coupons are redeemed. With `COUPONRY_BURN_ON=placed` "
    "payments aren't recorded, and a paid order stays placed.",
    Phase.HELD: "It holds its coupons until it is paid (`COUPONRY_BURN_ON=paid` only).",
    Phase.LAPSED: "It isn't paid, and its hold on the coupons has expired.",
    Phase.RELEASED: "It isn't paid, and gave up its coupons: a payment failed, or a newer order of the customer took "
    "them over.",
    Phase.CANCELLED: "It was cancelled.",
    Phase.RETURNED: "All of it was returned, at once or in parts.",
    Phase.BOTH: "It was cancelled, and all of it was returned.",
}


class OrderEvent(StrEnum):
    """An event of an order. Its own time and its content distinguish the variants."""

    __hash__ = str.__hash__  # an enum's own takes a call

    PLACED = "placed"
    PLACED_SAME = "placed or changed, with the content that it has"
    PLACED_LATER = "placed or changed later, with the content that it has"
    PLACED_OTHER = "placed with other content"
    PLACED_OLDER = "placed or changed, an older version"
    PLACED_FOR_ANOTHER = "placed or changed for another customer"
    PLACED_AGAIN = "placed again after it was cancelled or returned"
    CHANGED = "changed"
    PAID = "paid"
    PAID_EARLIER = "paid, not later than it was last cancelled or returned"
    FAILED = "payment failed"
    FAILED_EARLIER = "payment failed, earlier than it was changed or placed again"
    CANCELLED = "cancelled"
    CANCELLED_EARLIER = "cancelled, earlier than it was placed again"
    RETURNED = "returned"
    RETURNED_EARLIER = "returned, earlier than it was placed again"
    PART = "returned in part"
    PART_LAST = "returned in part, the last part"
    PART_EARLIER = "returned in part, earlier than it was placed again"
    PART_LATER = "returned in part, after it was cancelled or returned"


class Effect(StrEnum):
    """The effect of an event on an order."""

    __hash__ = str.__hash__  # an enum's own takes a call

    JUDGE = "judge"
    CHANGE = "judge again"
    REFUSE = "refuse"
    RECORD = "record"
    BURN = "burn"
    RELEASE = "release"
    REFUSE_LATE = "refuse as late"
    JUDGE_LOST = "judge what it gave up"
    CLOSE = "close"
    RECORD_TIME = "record the time"
    SHARE = "restore a share"
    NOTHING = "nothing"


Why = Literal[
    "same_content", "older_version", "earlier_order", "nothing_held", "paid_already", "closed", "all_returned"
]
"""Why an event changes nothing, for metrics and responses."""


@value
class Row:
    """One row: in `phase`, `event` has `effect`. `sentence` explains it; `why` is set if it may change nothing."""

    phase: Phase
    event: OrderEvent
    effect: Effect
    sentence: str
    why: Why | None = None


_CLOSED = (Phase.CANCELLED, Phase.RETURNED, Phase.BOTH)
_REDEEMED = (Phase.PLACED, Phase.PAID)
_UNPAID = (Phase.HELD, Phase.LAPSED, Phase.RELEASED)
_OPEN = (*_REDEEMED, *_UNPAID)
_BEFORE = (Phase.UNKNOWN, Phase.RECORDED)
_SEEN = (Phase.RECORDED, *_OPEN, *_CLOSED)


def _rows(
    phases: tuple[Phase, ...], event: OrderEvent, effect: Effect, sentence: str, why: Why | None = None
) -> list[Row]:
    return [Row(phase, event, effect, sentence, why) for phase in phases]


_FIRST = "Its coupons are judged, and redeemed or held; an order that was paid already redeems at once."
_ADDED = "A request over HTTP adds to the order: coupons that it has are kept, newly named codes are judged."
_CHANGED = (
    "Its coupons are judged on the new content: they are kept with the new discount, restored or released, and newly "
    "named codes are judged."
)
_HELD_AGAIN = "A new attempt to pay: its coupons are judged and held again."
_AGAIN = "Judged again, as an order of its own. Uses that were not restored are kept, with the new discount."
_REFUSED = "This is the order that was closed: every coupon is refused, `order_mismatch`."
_MISMATCH = "Another order under the same id: it is refused, `order_mismatch`, and nothing changes."
_SAME = "No other effect: it says what is known already."
_OLDER = "No other effect: a later version of the order is known."
_OLD = "Nothing: it belongs to an earlier order with this id."
_RECORDED_CLOSED = "Recorded: the event that places the order again may still arrive."
_TIME = "No other effect; only an event with a later time places the order again."
_RESTORE = "Restored if the campaign's `restore_on` says so."
_SHARED = "The returned part's share is restored if `restore_on` names `order.returned`; no use is."
_FULLY_RETURNED = "All of it is returned: same as a whole return, with the remaining discount."
_NOT_HELD = "Nothing: it holds no coupons."

TABLE: Final[tuple[Row, ...]] = (
    *_rows(_BEFORE, OrderEvent.PLACED, Effect.JUDGE, _FIRST),
    *_rows(_OPEN, OrderEvent.PLACED, Effect.JUDGE, _ADDED, "same_content"),
    *_rows(_CLOSED, OrderEvent.PLACED, Effect.REFUSE, _REFUSED, "closed"),
    *_rows(_OPEN, OrderEvent.PLACED_SAME, Effect.RECORD_TIME, _SAME, "same_content"),
    *_rows((Phase.PLACED, Phase.PAID, Phase.HELD), OrderEvent.PLACED_LATER, Effect.RECORD_TIME, _SAME, "same_content"),
    *_rows((Phase.LAPSED, Phase.RELEASED), OrderEvent.PLACED_LATER, Effect.CHANGE, _HELD_AGAIN),
    *_rows((Phase.PLACED, *_UNPAID), OrderEvent.PLACED_OTHER, Effect.CHANGE, _CHANGED, "same_content"),
    Row(Phase.PAID, OrderEvent.PLACED_OTHER, Effect.REFUSE, _MISMATCH),
    *_rows(_OPEN, OrderEvent.PLACED_OLDER, Effect.RECORD_TIME, _OLDER, "older_version"),
    *_rows(_OPEN, OrderEvent.PLACED_FOR_ANOTHER, Effect.REFUSE, _MISMATCH),
    *_rows(_CLOSED, OrderEvent.PLACED_AGAIN, Effect.JUDGE, _AGAIN),
    *_rows(_BEFORE, OrderEvent.CHANGED, Effect.JUDGE, _FIRST),
    *_rows(_OPEN, OrderEvent.CHANGED, Effect.CHANGE, _CHANGED, "same_content"),
    *_rows(_CLOSED, OrderEvent.CHANGED, Effect.REFUSE, _REFUSED, "closed"),
    *_rows(_BEFORE, OrderEvent.PAID, Effect.RECORD, "Recorded: when it is placed, it redeems at once.", "paid_already"),
    *_rows(_REDEEMED, OrderEvent.PAID, Effect.RECORD, "Recorded.", "paid_already"),
    Row(Phase.HELD, OrderEvent.PAID, Effect.BURN, "What it holds is redeemed, at the discounts it was held at."),
    Row(
        Phase.LAPSED, OrderEvent.PAID, Effect.REFUSE_LATE,
        "Recorded; what it held and has not redeemed since is refused, `lock_expired`, unless it was paid in time.",
    ),
    Row(
        Phase.RELEASED, OrderEvent.PAID, Effect.JUDGE_LOST,
        "What it gave up is judged again, as of the time it was held; what still has room is redeemed.",
    ),
    *_rows(_CLOSED, OrderEvent.PAID, Effect.RECORD, _RECORDED_CLOSED, "paid_already"),
    *_rows(_SEEN, OrderEvent.PAID_EARLIER, Effect.NOTHING, _OLD, "earlier_order"),
    *_rows(_BEFORE, OrderEvent.FAILED, Effect.NOTHING, _NOT_HELD, "nothing_held"),
    Row(Phase.PLACED, OrderEvent.FAILED, Effect.NOTHING, _NOT_HELD, "nothing_held"),
    Row(Phase.PAID, OrderEvent.FAILED, Effect.NOTHING, "Nothing: it was paid since.", "paid_already"),
    Row(Phase.HELD, OrderEvent.FAILED, Effect.RELEASE, "What it holds is released at once."),
    *_rows((Phase.LAPSED, Phase.RELEASED), OrderEvent.FAILED, Effect.NOTHING, _NOT_HELD, "nothing_held"),
    *_rows(_CLOSED, OrderEvent.FAILED, Effect.NOTHING, "Nothing: it is closed.", "closed"),
    *_rows(
        _SEEN, OrderEvent.FAILED_EARLIER, Effect.NOTHING, "Nothing: a later version of the order is known.",
        "older_version",
    ),
    *_rows(_BEFORE, OrderEvent.CANCELLED, Effect.CLOSE, "Recorded: it is refused if it was placed before that."),
    *_rows(_REDEEMED, OrderEvent.CANCELLED, Effect.CLOSE, _RESTORE),
    Row(Phase.HELD, OrderEvent.CANCELLED, Effect.CLOSE, "What it holds is released, what it redeemed restored."),
    *_rows((Phase.LAPSED, Phase.RELEASED), OrderEvent.CANCELLED, Effect.CLOSE, _RESTORE),
    Row(Phase.CANCELLED, OrderEvent.CANCELLED, Effect.RECORD_TIME, _TIME, "closed"),
    Row(Phase.RETURNED, OrderEvent.CANCELLED, Effect.CLOSE, "What only a cancellation restores is restored."),
    Row(Phase.BOTH, OrderEvent.CANCELLED, Effect.RECORD_TIME, _TIME, "closed"),
    *_rows(_SEEN, OrderEvent.CANCELLED_EARLIER, Effect.NOTHING, _OLD, "earlier_order"),
    *_rows(_BEFORE, OrderEvent.RETURNED, Effect.CLOSE, "Recorded: it is refused if it was placed before that."),
    *_rows(_REDEEMED, OrderEvent.RETURNED, Effect.CLOSE, _RESTORE),
    Row(Phase.HELD, OrderEvent.RETURNED, Effect.CLOSE, "What it holds is released, what it redeemed restored."),
    *_rows((Phase.LAPSED, Phase.RELEASED), OrderEvent.RETURNED, Effect.CLOSE, _RESTORE),
    Row(Phase.CANCELLED, OrderEvent.RETURNED, Effect.CLOSE, "What only a return restores is restored."),
    Row(Phase.RETURNED, OrderEvent.RETURNED, Effect.RECORD_TIME, _TIME, "closed"),
    Row(Phase.BOTH, OrderEvent.RETURNED, Effect.RECORD_TIME, _TIME, "closed"),
    *_rows(_SEEN, OrderEvent.RETURNED_EARLIER, Effect.NOTHING, _OLD, "earlier_order"),
    *_rows(_BEFORE, OrderEvent.PART, Effect.RECORD, "Recorded: its share is restored right after it redeems."),
    *_rows(_REDEEMED, OrderEvent.PART, Effect.SHARE, _SHARED),
    Row(Phase.HELD, OrderEvent.PART, Effect.SHARE, "Recorded: its share is restored right after the payment."),
    *_rows((Phase.LAPSED, Phase.RELEASED), OrderEvent.PART, Effect.SHARE, _SHARED),
    Row(Phase.CANCELLED, OrderEvent.PART, Effect.SHARE, "The share of what the cancellation did not restore."),
    *_rows(
        (Phase.RETURNED, Phase.BOTH), OrderEvent.PART, Effect.NOTHING, "Nothing: all of it is returned already.",
        "all_returned",
    ),
    *_rows((*_OPEN, Phase.CANCELLED), OrderEvent.PART_LAST, Effect.CLOSE, _FULLY_RETURNED),
    *_rows(_SEEN, OrderEvent.PART_EARLIER, Effect.NOTHING, _OLD, "earlier_order"),
    *_rows(_CLOSED, OrderEvent.PART_LATER, Effect.RECORD, _RECORDED_CLOSED),
)  # fmt: skip

_ROWS: Final[dict[tuple[Phase, OrderEvent], Row]] = {(row.phase, row.event): row for row in TABLE}


def row_of(phase: Phase, event: OrderEvent) -> Row:
    """Return the row of `event` on an order in `phase`. The functions below only make pairs that have one."""
    return _ROWS[phase, event]


def effect_of(phase: Phase, event: OrderEvent) -> Effect:
    """Return the effect of `event` on an order in `phase`."""
    return _ROWS[phase, event].effect


def phase_of(known: OrderState | None, hold: LockState | None, now: datetime) -> Phase:  # noqa: PLR0911 - one per phase
    """Return the phase of the order at `now`; `hold` is its own lock (`state.order_hold`)."""
    if known is not None and is_closed(known):
        if closed_since(known, "returned" if known.status == "cancelled" else "cancelled"):
            return Phase.BOTH
        return Phase.CANCELLED if known.status == "cancelled" else Phase.RETURNED
    if hold is not None and hold.status == "open" and hold.expires_at > now:
        return Phase.HELD
    if hold is not None and (known is None or known.status != "paid"):
        if hold.status in {"open", "expired"}:
            return Phase.LAPSED
        if hold.status == "released" and hold.lost:
            return Phase.RELEASED
    if known is None:
        return Phase.UNKNOWN
    if known.order is None:
        return Phase.RECORDED
    return Phase.PAID if known.status == "paid" else Phase.PLACED


# Placing and changing


# Closed orders
