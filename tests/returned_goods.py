"""A world for tests of returns: one campaign with every meter, coupon A, and readers of the restored discount."""

import copy
from typing import Any

from shared.domain.model.order import Line, Order
from shared.domain.model.state import Meter
from shared.domain.model.verdicts import Verdict
from tests.builders import DAY, MINUTE, NOW, Limits, World, campaign, line, order, percent

PLACED = NOW + 10 * MINUTE


def shop(**fields: Any) -> World:
    fields.setdefault("discount", percent("10"))
    world = World((campaign(limits=Limits(1, uses_per_customer=9, uses_total=9), **fields),), now=NOW + DAY)
    world.coupon("A")
    return world


def goods(*lines: Line, **fields: Any) -> Order:
    return order("ORD1", *(lines or (line("1", 6_000), line("2", 2_000, 2))), placed_at=PLACED, **fields)


def restored_shares(verdict: Verdict) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Return the discount that a verdict restores and its shares by line. Fail if a use is restored as well."""
    entries = [one for one in verdict.entries if one.kind == "returned"]
    assert all((one.used_uses, one.held_uses, one.held_minor) == (0, 0, 0) for one in entries)
    return -sum(one.used_minor for one in entries), tuple(share for one in entries for share in one.lines)


def left(world: World) -> int | None:
    """Return the rest of the discount, or None if the coupon is not redeemed."""
    redemption = world.state.orders["ORD1"].redemptions.get("id-A")
    return None if redemption is None else redemption.discount_minor


def numbers(world: World) -> object:
    meters = {key: meter for key, meter in world.state.meters.items() if meter != Meter()}
    return copy.deepcopy((meters, {key: (one.held, one.used) for key, one in world.state.coupons.items()}))
