"""Every row of an order's life cycle as a test case: the steps before, the event, and the result.

An order of 100.00 USD in two lines with a coupon of ten percent: 6.00 off the first line, 2.00 off each of the two
units of the second. It is placed at minute 10; further events are between minutes 20 and 40, placing it again is at 50.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from shared.domain.model.commands import CancelOrder, Command, PayOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.customer import Customer
from shared.domain.model.order import Line, Order
from shared.domain.orders.life_cycle import TABLE, Effect, OrderEvent, Phase, Row
from tests.ledger import PLACED_AT

_GOODS: Final = (Line("1", "boots", 1, 6_000), Line("2", "socks", 2, 2_000))
_OPEN: Final = (Phase.PLACED, Phase.HELD, Phase.LAPSED)

_SETUPS: Final[dict[Phase, tuple[str, ...]]] = {
    Phase.UNKNOWN: (),
    Phase.RECORDED: ("part",),
    Phase.PLACED: ("place",),
    Phase.HELD: ("hold",),
    Phase.LAPSED: ("hold for no time",),
    Phase.CANCELLED: ("place", "cancel"),
    Phase.RETURNED: ("place", "return"),
    Phase.BOTH: ("place", "cancel", "return"),
}
_EVENTS: Final[dict[OrderEvent, str]] = {
    OrderEvent.PLACED: "place",
    OrderEvent.PLACED_AGAIN: "place again",
    OrderEvent.PAID: "pay",
    OrderEvent.PAID_EARLIER: "pay",
    OrderEvent.CANCELLED: "cancel",
    OrderEvent.CANCELLED_EARLIER: "cancel early",
    OrderEvent.RETURNED: "return",
    OrderEvent.RETURNED_EARLIER: "return early",
    OrderEvent.PART: "part",
    OrderEvent.PART_LAST: "last part",
    OrderEvent.PART_EARLIER: "early part",
    OrderEvent.PART_LATER: "late part",
}
STEPS: Final = (
    *dict.fromkeys(_EVENTS.values()),
    "hold",
    "hold again",
    "hold for no time",
    "pay late",
    "use",
    "use again",
)
"""Every step that `command_of` supports, without those that only prepare a case."""

_EARLIER: Final = (
    OrderEvent.PAID_EARLIER, OrderEvent.CANCELLED_EARLIER, OrderEvent.RETURNED_EARLIER, OrderEvent.PART_EARLIER,
)  # fmt: skip
_AGAIN: Final[dict[Phase, str]] = {
    Phase.PLACED: "place again",
    Phase.HELD: "hold again",
    Phase.LAPSED: "hold again for no time",
}


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

    def place(minute: int, hold_seconds: int | None = None) -> Command:
        placed_at = PLACED_AT + timedelta(minutes=minute)
        if step.startswith("use"):
            return RedeemCoupons(
                command_id, Order(order_id, "USD", 0), (code,), Customer("john"), at=placed_at, priced=False
            )
        order = Order(order_id, "USD", 10_000, _GOODS, placed_at=placed_at)
        return RedeemCoupons(
            command_id, order, (code,), Customer("john"), hold=hold_seconds is not None, hold_seconds=hold_seconds or 0,
            at=placed_at,
        )  # fmt: skip

    def part(minute: int, *units: tuple[str, int]) -> Command:
        return ReturnOrder(command_id, order_id, False, PLACED_AT + timedelta(minutes=minute), lines=units)

    placings = {
        "place": (10, None), "hold": (10, 3_600), "hold for no time": (10, 0), "place again": (50, None),
        "hold again": (50, 3_600), "hold again for no time": (50, 0), "use": (10, None), "use again": (50, None),
    }  # fmt: skip
    parts = {"part": 25, "early part": 5, "late part": 60}
    others: dict[str, tuple[type[PayOrder] | type[CancelOrder] | type[ReturnOrder], int]] = {
        "pay": (PayOrder, 20), "pay late": (PayOrder, 60), "cancel": (CancelOrder, 30),
        "cancel early": (CancelOrder, 5), "return": (ReturnOrder, 35), "return early": (ReturnOrder, 5),
    }  # fmt: skip
    if step in placings:
        return place(*placings[step])
    if step in parts:
        return part(parts[step], ("2", 1))
    if step == "last part":
        return part(28, ("1", 1), ("2", 1))
    kind, minute = others[step]
    return kind(command_id, order_id, at=PLACED_AT + timedelta(minutes=minute))


def _case(row: Row) -> Case:
    phase = row.phase
    setup, event = _SETUPS[phase], _EVENTS[row.event]
    if row.event == OrderEvent.PAID and phase not in (*_OPEN, Phase.UNKNOWN, Phase.RECORDED):
        event = "pay late"
    elif row.event in _EARLIER and phase == Phase.RECORDED:  # it used the coupon, and no event gave its amount
        setup = ("use", "cancel", "use again") if row.event == OrderEvent.PAID_EARLIER else ("use",)
    elif row.event == OrderEvent.PAID_EARLIER and phase in _OPEN:
        setup = (*setup, "cancel", _AGAIN[phase])
    elif row.event == OrderEvent.PLACED and phase in (Phase.HELD, Phase.LAPSED):
        event = "hold"
    elif row.event == OrderEvent.PART_LAST:
        setup = (setup[0], "part", *setup[1:])
    return Case(row, setup, event, *_expected(row))


_FREE, _HELD, _USED = (0, 0), (1, 0), (0, 1)
_Expected = tuple[str, tuple[int, int], int, tuple[str, ...]]


def _expected(row: Row) -> _Expected:
    """Return the expected outcome, (held, used), remaining discount and events."""
    effects: dict[tuple[Effect, Phase], _Expected] = {
        (Effect.JUDGE, Phase.LAPSED): ("held", _HELD, 0, ("locked",)),
        (Effect.JUDGE, Phase.RECORDED): ("redeemed", _USED, 800, ("redeemed", "redemption_restored")),
        (Effect.BURN, Phase.HELD): ("redeemed", _USED, 1_000, ("redeemed",)),
        (Effect.REFUSE_LATE, Phase.LAPSED): ("refused", _FREE, 0, ("redemption_refused",)),
        (Effect.SHARE, Phase.PLACED): ("restored", _USED, 800, ("redemption_restored",)),
        (Effect.CLOSE, Phase.PLACED): ("restored", _FREE, 0, ("redemption_restored",)),
        (Effect.CLOSE, Phase.HELD): ("released", _FREE, 0, ("released",)),
    }
    if row.effect == Effect.JUDGE and row.phase not in (*_OPEN, Phase.RECORDED):
        return "redeemed", _USED, 1_000, ("redeemed",)
    if row.effect == Effect.REFUSE:
        return "refused", _FREE, 0, ("redemption_refused",)
    if (row.effect, row.phase) in effects:
        return effects[row.effect, row.phase]
    # In these cases, the part recorded for the order is the same part that the event returns.
    nothing = (Effect.NOTHING, Effect.RECORD_TIME, Effect.JUDGE)
    known = row.effect in nothing or (row.phase, row.event) == (Phase.RECORDED, OrderEvent.PART)
    if row.phase == Phase.RECORDED and row.event in _EARLIER:
        return "unchanged", _USED, 0, ()
    uses, left = {Phase.PLACED: (_USED, 1_000), Phase.HELD: (_HELD, 0)}.get(row.phase, (_FREE, 0))
    return "unchanged" if known else "recorded", uses, left, ()


CASES: Final = tuple(map(_case, TABLE))
