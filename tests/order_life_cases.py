"""Every row of an order's life cycle as a test case: the steps before, the event, and the result.

An order of 100.00 USD in two lines with a coupon of ten percent: 6.00 off the first line, 2.00 off each of the two
units of the second. It is placed at minute 10 and changed to 80.00 USD at 15, with one unit of the second line; further
events are between minutes 20 and 40, placing it again is at 50.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from shared.domain.model.commands import Command
from shared.domain.model.customer import Customer
from shared.domain.model.order import Line, Order
from shared.domain.model.order_commands import CancelOrder, FailPayment, PayOrder, RedeemCoupons, ReturnOrder
from shared.domain.orders.life_cycle import TABLE, Effect, OrderEvent, Phase, Row
from tests.ledger import PLACED_AT

_GOODS: Final = (Line("1", "boots", 1, 6_000), Line("2", "socks", 2, 2_000))
_OTHER_GOODS: Final = (Line("1", "boots", 1, 6_000), Line("2", "socks", 1, 2_000))
_UNPAID: Final = (Phase.HELD, Phase.LAPSED, Phase.RELEASED)
_OPEN: Final = (Phase.PLACED, Phase.PAID, *_UNPAID)
_CLOSED: Final = (Phase.CANCELLED, Phase.RETURNED, Phase.BOTH)

_SETUPS: Final[dict[Phase, tuple[str, ...]]] = {
    Phase.UNKNOWN: (),
    Phase.RECORDED: ("part",),
    Phase.PLACED: ("place",),
    Phase.PAID: ("place", "pay"),
    Phase.HELD: ("hold",),
    Phase.LAPSED: ("hold for no time",),
    Phase.RELEASED: ("hold", "fail"),
    Phase.CANCELLED: ("place", "cancel"),
    Phase.RETURNED: ("place", "return"),
    Phase.BOTH: ("place", "cancel", "return"),
}
_AGAIN: Final[dict[Phase, tuple[str, ...]]] = {
    Phase.PLACED: ("place", "cancel", "place again"),
    Phase.PAID: ("place", "cancel", "place again", "pay late"),
    Phase.HELD: ("hold", "cancel", "hold again"),
    Phase.LAPSED: ("hold", "cancel", "hold again for no time"),
    Phase.RELEASED: ("hold", "cancel", "hold again", "fail late"),
    Phase.CANCELLED: ("place", "cancel", "place again", "cancel late"),
    Phase.RETURNED: ("place", "cancel", "place again", "return late"),
    Phase.BOTH: ("place", "cancel", "place again", "cancel late", "return late"),
    Phase.RECORDED: ("use", "cancel", "use again"),
}
"""The order was closed and placed again."""

_EVENTS: Final[dict[OrderEvent, str]] = {
    OrderEvent.PLACED: "place",
    OrderEvent.PLACED_SAME: "event",
    OrderEvent.PLACED_LATER: "later event",
    OrderEvent.PLACED_OTHER: "event with other goods",
    OrderEvent.PLACED_OLDER: "older event",
    OrderEvent.PLACED_FOR_ANOTHER: "event for another",
    OrderEvent.PLACED_AGAIN: "place again",
    OrderEvent.CHANGED: "change",
    OrderEvent.PAID: "pay",
    OrderEvent.PAID_EARLIER: "pay",
    OrderEvent.FAILED: "fail",
    OrderEvent.FAILED_EARLIER: "fail",
    OrderEvent.CANCELLED: "cancel",
    OrderEvent.CANCELLED_EARLIER: "cancel",
    OrderEvent.RETURNED: "return",
    OrderEvent.RETURNED_EARLIER: "return",
    OrderEvent.PART: "part",
    OrderEvent.PART_LAST: "last part",
    OrderEvent.PART_EARLIER: "part",
    OrderEvent.PART_LATER: "late part",
}
_HOLDING: Final = {
    "place": "hold",
    "event": "event that holds",
    "later event": "later event that holds",
    "event with other goods": "event that holds with other goods",
    "change": "change and hold",
}
_PLACINGS: Final[dict[str, tuple[int, int | None]]] = {
    "place": (10, None), "hold": (10, 3_600), "hold for no time": (10, 0), "place again": (50, None),
    "hold again": (50, 3_600), "hold again for no time": (50, 0), "use": (10, None), "use again": (50, None),
    "event": (10, None), "event that holds": (10, 3_600), "older event": (5, None), "event for another": (12, None),
    "later event": (26, None), "later event that holds": (26, 3_600),
    "event with other goods": (12, None), "event that holds with other goods": (12, 3_600), "change": (15, None),
    "change and hold": (15, 3_600),
}  # fmt: skip
"""(minute, seconds that it holds its coupons)"""

_OTHERS: Final[dict[str, tuple[type[PayOrder | FailPayment | CancelOrder | ReturnOrder], int | None]]] = {
    "pay": (PayOrder, 20), "pay late": (PayOrder, 60), "pay now": (PayOrder, None),
    "fail": (FailPayment, 18), "fail late": (FailPayment, 55),
    "cancel": (CancelOrder, 30), "cancel late": (CancelOrder, 65), "return": (ReturnOrder, 35),
    "return late": (ReturnOrder, 70),
}  # fmt: skip
_PARTS: Final = {"part": 25, "late part": 90}

STEPS: Final = (*_PLACINGS, *_OTHERS, *_PARTS, "last part")
"""Every step that `command_of` supports."""


@dataclass(frozen=True)
class Case:
    """A row, the steps before its event, the event's step, and the expected result.

    `uses` of the coupon are (held, used), `left_minor` is the remaining discount, `event_types` are the published
    events, in order, without "coupon.".
    """

    row: Row
    setup: tuple[str, ...]
    event: str
    outcome: str
    uses: tuple[int, int]
    left_minor: int = 0
    event_types: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.row.phase}: {self.row.event}"


def command_of(step: str, command_id: str, order_id: str, code: str) -> Command:
    """Return the command of a step."""
    if step in _PLACINGS:
        return _placing(step, command_id, order_id, code)
    if step in _PARTS or step == "last part":
        units = (("1", 1), ("2", 1)) if step == "last part" else (("2", 1),)
        minute = _PARTS.get(step, 28)
        return ReturnOrder(command_id, order_id, False, PLACED_AT + timedelta(minutes=minute), lines=units)
    kind, minute = _OTHERS[step]
    return kind(command_id, order_id, at=None if minute is None else PLACED_AT + timedelta(minutes=minute))


def _placing(step: str, command_id: str, order_id: str, code: str) -> RedeemCoupons:
    minute, hold_seconds = _PLACINGS[step]
    at = PLACED_AT + timedelta(minutes=minute)
    if step.startswith("use"):
        return RedeemCoupons(command_id, Order(order_id, "USD", 0), (code,), Customer("john"), at=at, priced=False)
    goods = _OTHER_GOODS if minute in (5, 12, 15) else _GOODS
    changed = step.startswith("change")
    order = Order(order_id, "USD", sum(line.amount_minor for line in goods), goods, placed_at=None if changed else at)
    customer = Customer("mary" if step == "event for another" else "john")
    return RedeemCoupons(
        command_id, order, (code,), customer, hold=hold_seconds is not None, hold_seconds=hold_seconds or 0, at=at,
        complete=changed or "event" in step, changed=changed,
    )  # fmt: skip


def _case(row: Row) -> Case:
    phase, event = row.phase, _EVENTS[row.event]
    setup = _SETUPS[phase]
    if row.event.name.endswith("EARLIER"):
        setup = _AGAIN[phase]
    elif row.event == OrderEvent.PAID and phase in _CLOSED:
        event = "pay late"
    elif row.event == OrderEvent.PAID and phase == Phase.LAPSED:
        event = "pay now"
    elif phase in _UNPAID:
        event = _HOLDING.get(event, event)
    if row.event == OrderEvent.PART_LAST:
        setup = (setup[0], "part", *setup[1:])
    return Case(row, setup, event, *_expected(row))


_FREE, _HELD, _USED = (0, 0), (1, 0), (0, 1)
_Expected = tuple[str, tuple[int, int], int, tuple[str, ...]]
_RESULTS: Final[dict[tuple[Effect, Phase], _Expected]] = {
    (Effect.JUDGE, Phase.UNKNOWN): ("redeemed", _USED, 1_000, ("redeemed",)),
    (Effect.JUDGE, Phase.RECORDED): ("redeemed", _USED, 800, ("redeemed", "redemption_restored")),
    (Effect.JUDGE, Phase.LAPSED): ("held", _HELD, 0, ("locked",)),
    (Effect.JUDGE, Phase.RELEASED): ("held", _HELD, 0, ("locked",)),
    (Effect.JUDGE, Phase.CANCELLED): ("redeemed", _USED, 1_000, ("redeemed",)),
    (Effect.JUDGE, Phase.RETURNED): ("redeemed", _USED, 1_000, ("redeemed",)),
    (Effect.JUDGE, Phase.BOTH): ("redeemed", _USED, 1_000, ("redeemed",)),
    (Effect.CHANGE, Phase.PLACED): ("adjusted", _USED, 800, ("redemption_adjusted",)),
    (Effect.CHANGE, Phase.PAID): ("adjusted", _USED, 800, ("redemption_adjusted",)),
    (Effect.CHANGE, Phase.HELD): ("adjusted", _HELD, 0, ()),
    (Effect.CHANGE, Phase.LAPSED): ("held", _HELD, 0, ("locked",)),
    (Effect.CHANGE, Phase.RELEASED): ("held", _HELD, 0, ("locked",)),
    (Effect.BURN, Phase.HELD): ("redeemed", _USED, 1_000, ("redeemed",)),
    (Effect.JUDGE_LOST, Phase.RELEASED): ("redeemed", _USED, 1_000, ("redeemed",)),
    (Effect.RELEASE, Phase.HELD): ("released", _FREE, 0, ("released",)),
    (Effect.REFUSE_LATE, Phase.LAPSED): ("refused", _FREE, 0, ("redemption_refused",)),
    (Effect.SHARE, Phase.PLACED): ("restored", _USED, 800, ("redemption_restored",)),
    (Effect.SHARE, Phase.PAID): ("restored", _USED, 800, ("redemption_restored",)),
    (Effect.CLOSE, Phase.PLACED): ("restored", _FREE, 0, ("redemption_restored",)),
    (Effect.CLOSE, Phase.PAID): ("restored", _FREE, 0, ("redemption_restored",)),
    (Effect.CLOSE, Phase.HELD): ("released", _FREE, 0, ("released",)),
}
"""Outcome, (held, used), remaining discount and events, of effects that change a coupon."""


def _expected(row: Row) -> _Expected:
    before = {Phase.PLACED: (_USED, 1_000), Phase.PAID: (_USED, 1_000), Phase.HELD: (_HELD, 0)}
    uses, left = before.get(row.phase, (_FREE, 0))
    if row.phase == Phase.RECORDED and row.event.name.endswith("EARLIER"):  # it used the coupon without an amount
        uses = _USED
    if row.effect == Effect.REFUSE:
        return "refused", uses, left, ("redemption_refused",)
    if (row.effect, row.phase) in _RESULTS:
        outcome, uses, left, events = _RESULTS[row.effect, row.phase]
        if row.event == OrderEvent.CHANGED and row.effect == Effect.JUDGE:  # its other goods are the first ones known
            left -= 200
        return outcome, uses, left, events
    # In these cases, the event says what the order has already; the earlier time of an older version is recorded.
    nothing = (Effect.NOTHING, Effect.RECORD_TIME, Effect.JUDGE)
    known = row.effect in nothing or (row.phase, row.event) in (
        (Phase.RECORDED, OrderEvent.PART), (Phase.PAID, OrderEvent.PAID),
    )  # fmt: skip
    return "unchanged" if known else "recorded", uses, left, ()


CASES: Final = tuple(map(_case, TABLE))
