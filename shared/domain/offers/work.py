"""Limit the work of a request. The work is estimated before anything is judged, so that a refusal is cheap.

Units are tenths of a microsecond of one core, as measured for docs/decisions/0054-work-has-a-bound.md. An estimate is
the worst case: every code is valid, every combination is tried, no condition fails.
The same request, coupons and campaigns always give the same estimate, on every channel.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from shared.domain.model.campaign import Campaign, Scope
from shared.domain.model.commands import Command, LockCoupons
from shared.domain.model.coupon import Coupon
from shared.domain.model.order_commands import RedeemCoupons, ReturnOrder
from shared.domain.model.reasons import Reason
from shared.domain.model.state import OrderState, State
from shared.domain.model.verdicts import RefusedCoupon, refuse
from shared.domain.offers.combine import EXHAUSTIVE_UP_TO
from shared.domain.offers.conditions import Values, offer_values
from shared.domain.offers.kinds import KINDS
from shared.domain.offers.request import Request, distinct_coupons

MAX_WORK: Final = 25_000_000
"""Maximum work of one request, about two and a half seconds. The limits of the schemas (100 codes, 10,000 lines) are
within it, unless more than ten coupons of different priorities apply to different lines, or conditions read many
lines."""

MAX_BATCH_WORK: Final = 2 * MAX_WORK
"""Work after which a batch is written and the rest goes into another transaction, well below the 15 seconds of
`idle_in_transaction_session_timeout`."""

HEAVY_WORK: Final = 200_000
"""Work (about 20 ms) from which on a decision runs in a thread, so that other tasks of the process aren't delayed."""

CODE: Final = 200
"""Judging one coupon, without its lines and conditions."""

LINE: Final = 7
"""Pricing one line for one coupon and spreading the discount over it."""

STEP: Final = 80
"""Trying one coupon in a combination, without its lines."""

LINE_TRIED: Final = 2
"""Trying one coupon in a combination: each line, if the coupons apply to different lines."""

CONVERTED_LINE: Final = 40
"""Passing one line to conditions. Conditions that read the coupon or campaign get the lines once for each coupon."""

Found = Sequence[tuple[str, Coupon | None]]
"""Codes as written in the request, with their coupons."""


def work_of(command: Command, state: State, now: datetime) -> int:
    """Return the maximum work of deciding `command`; MAX_WORK if it is refused for exceeding that."""
    match command:
        case RedeemCoupons():
            order = command.order if command.priced else None
            request = Request(command, state, now, now, None, order, command.order.order_id)
            found = distinct_coupons(command.codes, state)
            return min(estimate(request, [*found, *of_lock(command, state, found)]), MAX_WORK)
        case LockCoupons():
            request = Request(command, state, now, now, None, order=command.order, order_id=command.order_id)
            return min(estimate(request, distinct_coupons(command.codes, state)), MAX_WORK)
        case _:
            known = None if command.named_order is None else state.orders.get(command.named_order)
            if known is None:
                return CODE
            lines = 0 if known.order is None else len(known.order.lines)
            work = CODE + len(known.redemptions) * (CODE + LINE * lines)
            return work + _rejudging_work(known, state, now) if isinstance(command, ReturnOrder) else work


def _rejudging_work(known: OrderState, state: State, now: datetime) -> int:
    """Return the work of judging again what a return in part leaves, before and after this part."""
    order, named = known.order, list[tuple[Coupon, Campaign]]()
    for redemption in known.redemptions.values():
        coupon, campaign = state.coupons.get(redemption.coupon_id), state.campaigns.get(redemption.campaign_id)
        if coupon is not None and campaign is not None and campaign.on_return == "rejudge":
            named.append((coupon, campaign))
    if order is None or not named:
        return 0
    request = Request(RedeemCoupons("", order), state, now, now, None, order=order, order_id=order.order_id)
    lines = len(order.lines)
    return 2 * (len(named) * (CODE + LINE * lines) + min(_conditions_work(request, named, lines), MAX_WORK))


def split_place(works: Sequence[int], bound: int) -> int:
    """Return how many of the first `works` sum to at most `bound`, but at least one."""
    total = 0
    for place, work in enumerate(works):
        total += work
        if total > bound and place:
            return place
    return len(works)


def too_much(request: Request, found: Found) -> list[RefusedCoupon]:
    """Return refusals for all codes of the request if it would take more than MAX_WORK, else an empty list."""
    if _is_little(request, found):
        return []
    work = estimate(request, found)
    if work <= MAX_WORK:
        return []
    lines = 0 if request.order is None else len(request.order.lines)
    codes = "1 code" if len(found) == 1 else f"{len(found):,} codes"
    message = (
        f"{codes} on {lines:,} lines would take {work:,} units of work, and a request may take {MAX_WORK:,}; "
        "name fewer codes, or send the order with fewer lines."
    )
    details = {"codes": str(len(found)), "lines": str(lines), "work": str(work), "limit": str(MAX_WORK)}
    return [refuse(Reason.REQUEST_TOO_LARGE, message, code, coupon, details) for code, coupon in found]


def _is_little(request: Request, found: Found) -> bool:
    """Return whether a rough upper bound of the work is within the limit: the usual case, found without estimating."""
    number, campaigns = len(found), request.state.campaigns
    for _, coupon in found:
        campaign = None if coupon is None else campaigns.get(coupon.campaign_id)
        if campaign is not None and campaign.eligibility.conditions:
            return False
    if number == 1 or number > EXHAUSTIVE_UP_TO:
        return number == 1
    lines = 0 if request.order is None else len(request.order.lines)
    return number * (CODE + LINE * lines) + (1 << number) * (STEP + LINE_TRIED * lines) <= MAX_WORK


def estimate(request: Request, found: Found) -> int:
    """Return the maximum work of judging `found` and choosing among them. Above MAX_WORK it may be incomplete."""
    campaigns = request.state.campaigns
    lines = 0 if request.order is None else len(request.order.lines)
    named = [
        (coupon, campaigns[coupon.campaign_id])
        for _, coupon in found
        if coupon is not None and coupon.campaign_id in campaigns
    ]
    work = len(found) * (CODE + LINE * lines)
    if len(named) > 1:
        work += _choosing_work([campaign for _, campaign in named], lines)
    if work <= MAX_WORK and request.order is not None:
        work += _conditions_work(request, named, lines)
    return work


def of_lock(command: RedeemCoupons, state: State, found: Found) -> Found:
    """Return the coupons of the lock that the command names, without those in `found`."""
    lock = None if command.lock_reference is None else state.locks.get(command.lock_reference)
    if lock is None or lock.status != "open":
        return []
    named = {coupon.coupon_id for _, coupon in found if coupon is not None}
    coupons = [state.coupons.get(locked.coupon_id) for locked in lock.uses if locked.coupon_id not in named]
    return [(coupon.code, coupon) for coupon in coupons if coupon is not None]


def _choosing_work(campaigns: Sequence[Campaign], lines: int) -> int:
    """Return the work of finding the best combination (see `combine`)."""
    together = [campaign for campaign in campaigns if campaign.stacking.policy == "combinable"]
    number = len(together)
    if number <= EXHAUSTIVE_UP_TO:
        steps = 1 << number
    else:  # a coupon that applies before others of another priority makes these apply again
        alike = Counter(campaign.stacking.priority for campaign in together)
        steps = number + (number**2 - sum(count**2 for count in alike.values())) // 2
    return steps * (STEP if _share_lines(together) else STEP + LINE_TRIED * lines)


def _share_lines(campaigns: Iterable[Campaign]) -> bool:
    """Return whether all discounts on lines apply to the same lines; then only the chosen ones are spread over them."""
    common: Scope | None = None
    for campaign in campaigns:
        discount, scope = campaign.discount, campaign.scope
        takes_from = KINDS[discount.kind].takes_from
        if takes_from in ("shipping", "nothing"):
            continue
        if takes_from == "product" or discount.per_unit or scope.max_units is not None:
            return False
        if common is not None and scope != common:
            return False
        common = scope
    return True


def _conditions_work(request: Request, named: Sequence[tuple[Coupon, Campaign]], lines: int) -> int:
    """Return the work of the conditions: once per request if they read no coupon, otherwise once per coupon."""
    work, seen, converted = 0, set[str](), False
    for coupon, campaign in named:
        own: Values | None = None
        for condition in campaign.eligibility.conditions:
            if condition.work is None or (condition.of_request and condition.expression in seen):
                continue
            if condition.of_request:
                work += condition.work(request.values) + (0 if converted else CONVERTED_LINE * lines)
                converted = True
                seen.add(condition.expression)
            else:
                work += 0 if own is not None else CONVERTED_LINE * lines
                own = own or offer_values(request, coupon, campaign)
                work += condition.work(own)
            if work > MAX_WORK:
                return work
    return work
