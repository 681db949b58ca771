"""What a decision about coupons works with: the request, and the offers that its codes turned out to be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.domain.campaign import Campaign
from shared.domain.coupon import Coupon, code_key
from shared.domain.customer import CustomerKey
from shared.domain.derive import derived_id
from shared.domain.order import Order
from shared.domain.state import LockedUse, LockState, Standing, State

END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class Basket:
    """What is left of an order to take off from: each line's amount (none without lines) and the whole, minor units.

    `room_minor` is the whole less what coupons of earlier requests took off, `rooms` the same line by line (None: they
    took nothing off a line). They don't lessen what a percentage is reckoned on, but all of them together never take
    off more than the order, nor more than a line, costs.
    """

    amounts: list[int]
    left_minor: int
    room_minor: int
    rooms: list[int] | None = None

    def room_for(self, indices: tuple[int, ...] | None) -> int:
        """The most that a coupon for these lines (None: the whole order) can still take off."""
        rooms = self.rooms
        if rooms is None:
            return self.room_minor
        return min(self.room_minor, sum(rooms) if indices is None else sum([rooms[index] for index in indices]))

    def copy(self) -> "Basket":
        """A basket to try a choice on."""
        rooms = None if self.rooms is None else list(self.rooms)
        return Basket(list(self.amounts), self.left_minor, self.room_minor, rooms)


@dataclass(slots=True)
class Request:
    """One request for coupons. `at` is the time windows are judged by, `now` the database's, by which locks expire.

    `closed_at` is set where the order was cancelled or returned and the request does not place it anew. `replaced` is a
    lock whose uses the request gives back before anything else.
    """

    state: State
    now: datetime
    at: datetime
    person: CustomerKey | None
    order: Order | None = None
    order_id: str | None = None
    basket: Basket | None = None
    closed_at: datetime | None = None
    closed_as: str = ""
    replaced: LockState | None = None


@dataclass(slots=True)
class Offer:
    """A coupon that the request may use.

    `code` is as the caller wrote it. `indices` are the lines it is good for, None for the whole order.
    `untouched_minor` is its discount on the untouched order (0 without an order). `lock` and `locked` are the own hold
    that pays for the use; `promised`: the request named that lock, so limits and windows aren't judged again.
    `recurring`: it goes on with a subscription and takes no use.
    """

    code: str
    coupon: Coupon
    campaign: Campaign
    indices: tuple[int, ...] | None = None
    untouched_minor: int = 0
    lock: LockState | None = None
    locked: LockedUse | None = None
    promised: bool = False
    recurring: bool = False


@dataclass(slots=True)
class Taken:
    """An offer that won, with what it takes off in minor units (None where no order is known).

    `shares` are its parts: (index of the line, part).
    """

    offer: Offer
    discount_minor: int | None
    shares: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class Along:
    """What the coupons taken so far in this request have used up, by campaign.

    `taken` counts uses; `campaign` and `customer` count those that came on top of what was held before.
    """

    taken: dict[str, int] = field(default_factory=dict)
    campaign: dict[str, int] = field(default_factory=dict)
    customer: dict[str, int] = field(default_factory=dict)


def basket_of(order: Order, earlier: Sequence[Standing | LockedUse] = ()) -> Basket:
    """The order as a basket, from which `earlier` requests have taken their part. Negative amounts count as 0."""
    amount_minor = max(order.amount_minor, 0)
    amounts = [max(line.unit_minor * line.quantity, 0) for line in order.lines]
    if not earlier:
        return Basket(amounts, amount_minor, amount_minor)
    room_minor = max(amount_minor - sum(one.discount_minor for one in earlier), 0)
    taken: dict[str, int] = {}
    for one in earlier:
        for line_id, part in one.lines:
            taken[line_id] = taken.get(line_id, 0) + part
    if not taken or not amounts:
        return Basket(amounts, amount_minor, room_minor)
    rooms = []
    for line, amount in zip(order.lines, amounts, strict=True):
        part = min(taken.get(line.line_id, 0), amount)
        rooms.append(amount - part)
        if part:
            taken[line.line_id] -= part  # two lines of one id share what was taken off it
    return Basket(amounts, amount_minor, room_minor, rooms)


def named_once(codes: Sequence[str], state: State) -> Iterator[tuple[str, Coupon | None]]:
    """Each different code as it was written first, with its coupon; None where there is none."""
    seen: set[str] = set()
    for code in codes:
        key = code_key(code)
        if key not in seen:
            seen.add(key)
            coupon_id = state.coupon_ids.get(key)
            yield code, None if coupon_id is None else state.coupons.get(coupon_id)


def holds_now(lock: LockState | None, now: datetime) -> bool:
    """Whether `lock` holds its uses: open, and its time not over. A lock that expires at `now` holds nothing."""
    return lock is not None and lock.status == "open" and lock.expires_at > now


def later(moment: datetime, seconds: float) -> datetime:
    """`moment` and `seconds` on, or the end of time where that lies beyond the calendar."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return END_OF_TIME


def redemption_id(command_id: str) -> str:
    """The id of the redemption that a command causes, the same for the same command."""
    return derived_id("redemption", command_id)
