"""A coupon as an offer to one request: what its discount comes from, which hold pays for it, and its price."""

from collections.abc import Sequence
from typing import Final

from shared.domain.model.campaign import Campaign
from shared.domain.model.coupon import Coupon
from shared.domain.model.state import LockedUse, LockState
from shared.domain.model.value import value


@value
class Target:
    """What an offer takes its discount from.

    `lines` are indices of the order's lines in their order; None is the whole order, () no line at all. `by_unit`:
    units are priced one by one, at most `max_units` of them (None: all). Then `lines` are in the order in which units
    are taken: the cheapest first, or the dearest.
    """

    lines: tuple[int, ...] | None = None
    by_unit: bool = False
    max_units: int | None = None


WHOLE_ORDER: Final = Target()
NO_LINES: Final = Target(())


@value
class Pick:
    """`count` units of the line at `index`, of each of which `left_minor` is left; `room_minor` of it may be taken."""

    index: int
    count: int
    left_minor: int
    room_minor: int


@value
class ResolvedOffer:
    """A coupon that the request names, with all that judging it needs.

    `code` is as the caller wrote it. `target` is None without an order, and where no line of it is eligible.
    `fixed_minor` is the amount of a fixed discount in the order's currency (None: the currency can't express it).
    `lock` and `locked` are the customer's or order's own hold that pays for the use; `held_by_others` counts other
    holds. `promised`: the request names that lock, so limits of uses and windows aren't judged again. `recurring`: the
    coupon continues with a subscription and takes no use. `discount_minor`, `weights` and `picks` are the price on the
    untouched order (see `price`); 0 and empty without an order, and where the order has nothing to take it from.
    """

    code: str
    coupon: Coupon
    campaign: Campaign
    target: Target | None = None
    fixed_minor: int | None = 0
    discount_minor: int = 0
    weights: Sequence[int] = ()
    picks: tuple[Pick, ...] = ()
    lock: LockState | None = None
    locked: LockedUse | None = None
    held_by_others: int = 0
    promised: bool = False
    recurring: bool = False
