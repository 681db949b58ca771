"""Several random coupons on one order, checked against simple arithmetic over all combinations."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.model.campaign import Campaign
from shared.domain.model.order import SHIPPING, Line, Order
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.verdicts import Verdict
from shared.domain.offers import combine as combining
from shared.domain.offers.basket import Basket, basket_of
from shared.domain.offers.kinds import KINDS
from shared.domain.offers.price import apply_price, max_discount_of, price
from shared.domain.offers.request import Request, UnitGroup
from shared.domain.offers.resolve import resolve
from tests.builders import NOW, Scope, World, campaign, percent
from tests.unit.stacking_strategies import campaigns, orders, rest_of, take_off, world_of

several = st.lists(campaigns, min_size=1, max_size=5)


def codes_of(world: World) -> list[str]:
    return [coupon.code for coupon in world.state.coupons.values()]


Combination = tuple[tuple[Any, ...], dict[str, int]]
"""(sort key, the smallest is best; the discount of each coupon)"""


def allowed(world: World, to: Order) -> list[Combination]:
    """Return every combination that the policies and limits allow, of coupons that are valid by themselves."""
    rules = {coupon.code: world.state.campaigns[coupon.campaign_id] for coupon in world.state.coupons.values()}
    alone = {code: take_off(rest_of(to), to, rules[code]) for code in rules}
    viable = [code for code in rules if valued(to, [code], rules, alone) is not None]
    found = []
    for size in range(1, len(viable) + 1):
        for chosen in combinations(viable, size):
            value = valued(to, chosen, rules, alone)
            if value is not None:
                found.append(value)
    return found


def valued(
    to: Order, chosen: Sequence[str], rules: dict[str, Campaign], alone: dict[str, int | None]
) -> Combination | None:
    """Return a combination with its discounts, applied in sequence, or None if it isn't allowed."""
    stacking = [rules[code].stacking for code in chosen]
    groups = Counter(one.group for one in stacking if one.group is not None)
    if len(chosen) > 1 and any(one.policy == "exclusive" for one in stacking):
        return None
    if any(number > 1 for number in groups.values()) or any((one.max_coupons or 99) < len(chosen) for one in stacking):
        return None
    rest, spent, uses = rest_of(to), Counter[str](), Counter[str]()
    taken: dict[str, int] = {}
    key = {
        code: (-rules[code].stacking.priority, -(alone[code] or 0), rules[code].campaign_id, code) for code in chosen
    }
    for code in sorted(chosen, key=lambda code: key[code]):
        campaign = rules[code]
        minor = take_off(rest, to, campaign)
        if minor is None or (not minor and not KINDS[campaign.discount.kind].has_effect_without_discount):
            return None
        taken[code] = minor
        spent[campaign.campaign_id] += minor
        uses[campaign.campaign_id] += 1
        limits = campaign.limits
        if spent[campaign.campaign_id] > (10**9 if limits.spend_total_minor is None else limits.spend_total_minor):
            return None
        if uses[campaign.campaign_id] > min(limits.uses_total or 99, limits.uses_per_customer or 99):
            return None
    given = sum(KINDS[rules[code].discount.kind].has_effect_without_discount for code in chosen)
    return (-sum(taken.values()), -given, len(chosen), [key[code] for code in taken]), taken


@settings(max_examples=300)
@given(several, orders())
def test_the_best_of_all_allowed_combinations_is_chosen(made: list[Campaign], to: Order) -> None:
    world = world_of(made)
    verdict = world.redeem(*codes_of(world), to=to)
    found = allowed(world, to)
    best = min(found, default=((), {}))[1]
    assert {one.code: one.discount_minor for one in verdict.accepted} == best
    assert [one.code for one in verdict.accepted] == list(best)


@settings(max_examples=150)
@given(several, orders())
def test_the_greedy_search_is_never_below_the_best_single_coupon(made: list[Campaign], to: Order) -> None:
    world = world_of(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(combining, "EXHAUSTIVE_UP_TO", 0)
        verdict = world.redeem(*codes_of(world), to=to)
    found = allowed(world, to)
    single = max((-rank[0] for rank, taken in found if len(taken) == 1), default=0)
    most = max((-rank[0] for rank, _ in found), default=0)
    assert single <= verdict.discount_minor <= most
    assert bool(verdict.accepted) == bool(found)
    if found:  # the chosen combination is allowed
        assert {one.code: one.discount_minor for one in verdict.accepted} in [taken for _, taken in found]


@settings(max_examples=300)
@given(several, orders(), st.lists(st.sampled_from("ABCDE"), max_size=2))
def test_all_coupons_are_only_applied_without_a_search_where_the_search_finds_the_same(
    made: list[Campaign], to: Order, earlier: list[str]
) -> None:
    def redeemed() -> list[Verdict]:
        world = world_of(made)
        return [world.redeem(*codes, to=to) for codes in (earlier, codes_of(world))]

    without_search = redeemed()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(combining, "_all_together", lambda *_: None)
        assert redeemed() == without_search


@settings(max_examples=150)
@given(several, orders(), st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_codes_changes_nothing(made: list[Campaign], to: Order, random: Any, atomic: bool) -> None:
    codes = codes_of(world_of(made))
    mixed = list(codes)
    random.shuffle(mixed)
    seen = {repr(world_of(made).redeem(*named, to=to, atomic=atomic)) for named in (codes, codes[::-1], mixed)}
    assert len(seen) == 1


def parts(verdicts: Sequence[Verdict]) -> Iterator[tuple[str, int]]:
    for verdict in verdicts:
        for coupon in verdict.accepted:
            assert coupon.discount_minor is not None
            yield from coupon.lines


@settings(max_examples=300)
@given(several, orders(), st.lists(st.lists(st.sampled_from("ABCDE"), max_size=3), max_size=3))
def test_shares_sum_to_the_discount_and_no_line_is_discounted_beyond_its_price(
    made: list[Campaign], to: Order, earlier: list[list[str]]
) -> None:
    world = world_of(made)
    verdicts = [world.redeem(*codes, to=to) for codes in (*earlier, codes_of(world))]
    of_shipping = 0
    for coupon in [one for verdict in verdicts for one in verdict.accepted]:
        assert coupon.discount_minor is not None
        assert coupon.discount_minor >= 0
        shipping = sum(part for line_id, part in coupon.lines if line_id == SHIPPING)
        of_shipping += shipping
        goods = sum(part for line_id, part in coupon.lines if line_id != SHIPPING)
        assert coupon.discount_minor == shipping + (goods if to.lines else coupon.discount_minor - shipping)
        assert all(part > 0 for _, part in coupon.lines)
    assert of_shipping <= to.shipping_minor
    total = Counter[str]()
    for line_id, part in parts(verdicts):
        total[line_id] += part
    assert all(total[line.line_id] <= line.amount_minor for line in to.lines)
    assert sum(verdict.discount_minor for verdict in verdicts) - of_shipping <= to.amount_minor


def test_the_dearest_unit_may_have_less_left_than_the_next_one() -> None:
    """Once another coupon used up what an earlier one left of the dearest unit, the next unit gives more."""
    lines = (Line("1", "p1", 2, 1500), Line("2", "p1", 2, 1600))
    to = Order("ORD1", "USD", 6200, lines)
    world = world_of([campaign("c", discount=percent("100"), scope=Scope(max_units=1, most_expensive_first=True))])
    units = {1: (UnitGroup(1, 1, 1600, 0), UnitGroup(1, 1, 1600, 1400))}
    basket = Basket([3000, 3200], 6200, 4400, rooms=[3000, 1400], lines=lines, units=units)
    request = Request(RedeemCoupons("c", to), world.state, NOW, NOW, None, order=to, order_id="ORD1", basket=basket)
    coupon = next(iter(world.state.coupons.values()))
    offer = resolve(request, coupon.code, coupon, world.state.campaigns["a"])
    assert (offer.discount_minor, max_discount_of(basket, offer)) == (1400, 1600)
    apply_price(basket, offer, *price(basket, offer))
    assert price(basket, offer)[0] == 1500


@settings(max_examples=300)
@given(several, orders(), st.lists(st.sampled_from("ABCDE"), max_size=2))
def test_no_coupon_takes_more_off_the_rest_than_the_search_expects(
    made: list[Campaign], to: Order, before: list[str]
) -> None:
    """The search for the best combination relies on this when it skips combinations."""
    world = world_of(made)
    earlier = world.redeem(*before, to=to)
    existing = list(world.state.orders["ORD1"].redemptions.values()) if earlier.accepted else []
    basket = basket_of(to, existing)
    request = Request(
        RedeemCoupons("c", to), world.state, NOW, NOW, None, order=to, order_id=to.order_id, basket=basket
    )
    offers = []
    for coupon in world.state.coupons.values():
        offer = resolve(request, coupon.code, coupon, world.state.campaigns[coupon.campaign_id])
        if offer.target is not None:
            offers.append(offer)
    most = [max_discount_of(basket, offer) for offer in offers]
    for taken in offers:
        apply_price(basket, taken, *price(basket, taken))
        assert all(price(basket, offer)[0] <= limit for offer, limit in zip(offers, most, strict=True))
        assert min(basket.left_minor, basket.room_minor, basket.shipping_minor, *basket.amounts) >= 0
