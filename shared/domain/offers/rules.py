"""What a campaign may require of a request, except limits: one row a rule, in the order of `Reason`.

A row says which campaigns require the rule, whether an offer passes it, and what it reports. Judging (`judge`) stops at
the first rule that fails; explaining (`explain`) reports all of them. To add a rule: docs/extending.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.domain.model.campaign import Campaign
from shared.domain.model.clock import is_open
from shared.domain.model.reasons import Reason
from shared.domain.offers import rule_messages as messages
from shared.domain.offers.conditions import failing_condition
from shared.domain.offers.offer import ResolvedOffer
from shared.domain.offers.request import Request
from shared.domain.offers.resolve import eligible_quantity, has_target
from shared.domain.offers.rule_messages import Describe, order_of

Passes = Callable[[Request, ResolvedOffer], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `of_order`: it needs an order, and is judged again when a lock is burned; a lock promises the others.

    `passes` only tests: it changes nothing.
    """

    field: str
    reason: Reason
    asked: Callable[[Campaign], bool]
    passes: Passes
    describe: Describe
    of_order: bool = False


def rules_of(campaign: Campaign, *, of_order: bool = True) -> tuple[tuple[Passes, Rule], ...]:
    """Return the rules that this campaign requires, with or without those of an order. Found once a campaign."""
    found: tuple[tuple[Passes, Rule], ...] | None = campaign.memo.get(of_order)
    if found is None:
        asked = [rule for rule in RULES if rule.asked(campaign) and (of_order or not rule.of_order)]
        found = campaign.memo[of_order] = tuple([(rule.passes, rule) for rule in asked])
    return found


def _has_started(request: Request, offer: ResolvedOffer) -> bool:
    campaign_start, start = offer.campaign.window.starts_at, offer.coupon.starts_at
    return (campaign_start is None or request.at >= campaign_start) and (start is None or request.at >= start)


def _has_not_ended(request: Request, offer: ResolvedOffer) -> bool:
    campaign_end, end = offer.campaign.window.ends_at, offer.coupon.ends_at
    return (campaign_end is None or request.at < campaign_end) and (end is None or request.at < end)


def _is_open(request: Request, offer: ResolvedOffer) -> bool:
    return is_open(offer.campaign.window, request.at)


def _is_on_channel(request: Request, offer: ResolvedOffer) -> bool:
    return request.channel in offer.campaign.eligibility.channels


def _is_held_by_customer(request: Request, offer: ResolvedOffer) -> bool:
    holder = offer.coupon.holder_key
    return holder is None or request.customer_key is None or request.customer_key == holder


def _needs_customer(campaign: Campaign) -> bool:
    eligibility = campaign.eligibility
    return bool(
        eligibility.holder_only or eligibility.first_order_only or eligibility.segments_any or eligibility.segments_all
        or campaign.limits.uses_need_customer
    )  # fmt: skip


def _has_customer(request: Request, offer: ResolvedOffer) -> bool:
    return request.customer_key is not None


def _is_in_any_segment(request: Request, offer: ResolvedOffer) -> bool:
    return not offer.campaign.eligibility.segments_any.isdisjoint(request.segments)


def _is_in_all_segments(request: Request, offer: ResolvedOffer) -> bool:
    return offer.campaign.eligibility.segments_all <= request.segments


def _is_in_no_segment(request: Request, offer: ResolvedOffer) -> bool:
    return offer.campaign.eligibility.segments_none.isdisjoint(request.segments)


def _is_first_order(request: Request, offer: ResolvedOffer) -> bool:
    return not request.other_orders


def _is_order_open(request: Request, offer: ResolvedOffer) -> bool:
    return request.closed_at is None


def _has_validation_code(request: Request, offer: ResolvedOffer) -> bool:
    return request.command.validation_code == offer.campaign.validation_code


def _asks_currency(campaign: Campaign) -> bool:
    return campaign.currency is not None or campaign.discount.amount_minor is None


def _is_in_currency(request: Request, offer: ResolvedOffer) -> bool:
    if offer.campaign.currency is not None:
        return offer.campaign.currency == order_of(request).currency
    return offer.fixed_minor is not None


def _asks_minimum(campaign: Campaign) -> bool:
    return bool(campaign.eligibility.min_order_minor or campaign.eligibility.min_order_exclusive)


def _reaches_minimum(request: Request, offer: ResolvedOffer) -> bool:
    asked, amount = offer.campaign.eligibility, order_of(request).amount_minor
    return amount > asked.min_order_minor or (amount == asked.min_order_minor and not asked.min_order_exclusive)


def _reaches_quantity(request: Request, offer: ResolvedOffer) -> bool:
    minimum = offer.campaign.eligibility.min_quantity
    return eligible_quantity(offer.campaign.scope, order_of(request).lines) >= minimum


def _has_products(request: Request, offer: ResolvedOffer) -> bool:
    return offer.target is not None


def _meets_conditions(request: Request, offer: ResolvedOffer) -> bool:
    return failing_condition(request, offer.coupon, offer.campaign) is None


RULES: Final = (
    Rule(
        "status", Reason.CAMPAIGN_INACTIVE, lambda it: it.status != "active", lambda *_: False,
        messages.describe_status,
    ),
    Rule("window.starts_at", Reason.NOT_STARTED, lambda _: True, _has_started, messages.describe_start),
    Rule("window.ends_at", Reason.EXPIRED, lambda _: True, _has_not_ended, messages.describe_end),
    Rule("window.hours", Reason.OUTSIDE_HOURS, lambda it: bool(it.window.hours), _is_open, messages.describe_hours),
    Rule(
        "eligibility.channels", Reason.CHANNEL_MISMATCH, lambda it: bool(it.eligibility.channels), _is_on_channel,
        messages.describe_channel,
    ),
    Rule(
        "eligibility.holder_only", Reason.WRONG_CUSTOMER, lambda it: it.eligibility.holder_only, _is_held_by_customer,
        messages.describe_holder,
    ),
    Rule("customer", Reason.CUSTOMER_REQUIRED, _needs_customer, _has_customer, messages.describe_customer),
    Rule(
        "eligibility.segments_any", Reason.SEGMENT_MISMATCH, lambda it: bool(it.eligibility.segments_any),
        _is_in_any_segment, messages.describe_segments("in one of", "segments_any"),
    ),
    Rule(
        "eligibility.segments_all", Reason.SEGMENT_MISMATCH, lambda it: bool(it.eligibility.segments_all),
        _is_in_all_segments, messages.describe_segments("in all of", "segments_all"),
    ),
    Rule(
        "eligibility.segments_none", Reason.SEGMENT_MISMATCH, lambda it: bool(it.eligibility.segments_none),
        _is_in_no_segment, messages.describe_segments("in none of", "segments_none"),
    ),
    Rule(
        "eligibility.first_order_only", Reason.NOT_FIRST_ORDER, lambda it: it.eligibility.first_order_only,
        _is_first_order, messages.describe_first_order,
    ),
    Rule("order", Reason.ORDER_MISMATCH, lambda _: True, _is_order_open, messages.describe_closed_order),
    Rule(
        "validation_code", Reason.VALIDATION_CODE_MISMATCH, lambda it: it.validation_code is not None,
        _has_validation_code, messages.describe_validation_code,
    ),
    Rule(
        "eligibility.currency", Reason.CURRENCY_MISMATCH, _asks_currency, _is_in_currency,
        messages.describe_currency, True,
    ),
    Rule(
        "eligibility.min_order_amount", Reason.BELOW_MINIMUM, _asks_minimum, _reaches_minimum,
        messages.describe_minimum, True,
    ),
    Rule(
        "eligibility.min_quantity", Reason.BELOW_MINIMUM, lambda it: it.eligibility.min_quantity > 0,
        _reaches_quantity, messages.describe_quantity, True,
    ),
    Rule("applies_to", Reason.NO_ELIGIBLE_PRODUCT, has_target, _has_products, messages.describe_products, True),
    Rule(
        "eligibility.conditions", Reason.CONDITION_FAILED, lambda it: bool(it.eligibility.conditions),
        _meets_conditions, messages.describe_conditions, True,
    ),
)  # fmt: skip
"""In the order of `Reason`; a test checks it."""
