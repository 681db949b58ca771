"""From a campaign as people write it to the campaign as the decision reads it.

`schemas.campaigns` has judged the document's shape; here it is judged whether it makes sense. What later versions will
know is refused, not ignored: a limit that nobody keeps is worse than none.
"""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from schemas.campaigns import CampaignDefinition, WindowDefinition
from shared.domain import codes
from shared.domain.campaign import Campaign, CodeRule, DiscountOffer, IssueRule, Limits, Scope, Source, Window
from shared.domain.coupon import code_key
from shared.domain.money import MoneyError, parse_minor


class DefinitionError(ValueError):
    """A campaign that makes no sense, or wants what isn't supported yet: a sentence with the field and the way out."""


def to_domain(definition: CampaignDefinition, version: int) -> Campaign:
    """`definition` as a `Campaign`; raises DefinitionError. `version` is the ledger's, 0 where it isn't saved yet."""
    _refuse_unsupported(definition)
    currency = definition.discount.currency or definition.eligibility.currency
    limits, eligibility = definition.limits, definition.eligibility
    window = _window(definition.window)
    _check_code(definition)
    return Campaign(
        campaign_id=definition.campaign_id,
        discount=_discount(definition, currency),
        name=definition.name,
        status=definition.status,
        currency=currency,
        scope=Scope(
            frozenset(definition.applies_to.product_ids),
            frozenset(definition.applies_to.variant_ids),
            frozenset(definition.applies_to.collection_ids),
            frozenset(definition.applies_to.excluded_product_ids),
        ),
        code=CodeRule(definition.code.pattern, definition.code.charset, definition.code.shared_code),
        limits=Limits(
            limits.uses_per_coupon,
            limits.uses_per_customer,
            limits.uses_total,
            limits.coupons_total,
            limits.coupons_per_customer,
        ),
        window=window,
        min_order_minor=_minor(eligibility.min_order_amount, currency, "eligibility.min_order_amount") or 0,
        min_order_exclusive=eligibility.min_order_amount is not None and eligibility.min_order_amount_exclusive,
        holder_only=eligibility.holder_only,
        stacking=definition.stacking.policy,
        priority=definition.stacking.priority,
        issues_on=tuple(IssueRule(rule.event, tuple(sorted(rule.match.items()))) for rule in definition.issues_on),
        source=Source(
            definition.source.kind,
            definition.source.url,
            tuple(sorted(definition.source.headers.items())),
            definition.source.without_code,
        ),
        restore_on=frozenset(definition.restore_on),
        version=version,
    )


def _refuse_unsupported(definition: CampaignDefinition) -> None:
    eligibility = definition.eligibility
    asked: dict[str, object] = {
        "discount.product_id": definition.discount.product_id,
        "limits.spend_total": definition.limits.spend_total,
        "stacking.group": definition.stacking.group,
        "validation_code": definition.validation_code,
    }
    lists: dict[str, object] = {
        "window.hours": definition.window.hours,
        "eligibility.segments_any": eligibility.segments_any,
        "eligibility.segments_none": eligibility.segments_none,
    }
    switches = {"eligibility.first_order_only": eligibility.first_order_only, "recurring": definition.recurring}
    for fields, way_out in ((asked, "leave it null"), (lists, "leave it empty"), (switches, "leave it false")):
        for name, wanted in fields.items():
            if wanted:
                raise DefinitionError(f"`{name}` isn't supported yet; {way_out}.")


def _discount(definition: CampaignDefinition, currency: str | None) -> DiscountOffer:
    discount = definition.discount
    cap = _minor(discount.max_discount, currency, "discount.max_discount")
    if cap == 0:
        raise DefinitionError(
            "`discount.max_discount` is 0, so no coupon would take anything off; raise it or leave it null."
        )
    if discount.kind == "fixed":
        amount = _minor(discount.value, currency, "discount.value") or 0
        if not amount:
            raise DefinitionError(
                "`discount.value` is 0, so no coupon would take anything off; give an amount above 0."
            )
        return DiscountOffer("fixed", discount.value, amount_minor=amount, max_discount_minor=cap)
    whole, _, fraction = discount.value.partition(".")
    numerator, denominator = int(whole + fraction), 10 ** len(fraction)
    if not 0 < numerator <= 100 * denominator:
        raise DefinitionError(f"`discount.value` is {discount.value} percent; give more than 0 and at most 100.")
    return DiscountOffer("percentage", discount.value, numerator, denominator, max_discount_minor=cap)


def _minor(amount: str | None, currency: str | None, name: str) -> int | None:
    if amount is None:
        return None
    if currency is None:
        raise DefinitionError(f"`{name}` is an amount of money; say in which currency in `eligibility.currency`.")
    try:
        return parse_minor(amount, currency)
    except MoneyError as error:
        raise DefinitionError(f"`{name}`: {error}") from error


def _window(window: WindowDefinition) -> Window:
    zone = ZoneInfo(window.time_zone)
    starts_at, ends_at = _moment(window.starts_at, zone), _moment(window.ends_at, zone)
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        raise DefinitionError(
            f"`window.ends_at` ({ends_at.isoformat()}) isn't after `window.starts_at` ({starts_at.isoformat()}); "
            "the campaign would never run. A date alone is the start of that day."
        )
    return Window(starts_at, ends_at, window.valid_for)


def _moment(moment: datetime | date | None, zone: ZoneInfo) -> datetime | None:
    """In UTC; a date is the start of that day in `zone`."""
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time(), zone)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise DefinitionError(
            f"`window` holds {moment.isoformat()}, which is beyond the calendar; leave it null."
        ) from error


def _check_code(definition: CampaignDefinition) -> None:
    code = definition.code
    if code.shared_code is None:
        if definition.source.kind == "generated":
            try:
                codes.check(code.pattern, code.charset, definition.limits.coupons_total)
            except codes.CodePatternError as error:
                raise DefinitionError(f"`code.pattern`: {error}") from error
        return
    if not code_key(code.shared_code).isprintable() or len(code.shared_code) > codes.MAX_LENGTH:
        raise DefinitionError(f"`code.shared_code` must be printable and at most {codes.MAX_LENGTH} characters long.")
    conflicts = {
        "source.kind": definition.source.kind != "generated",
        "window.valid_for": definition.window.valid_for is not None,
        "eligibility.holder_only": definition.eligibility.holder_only,
    }
    for name, given in conflicts.items():
        if given:
            raise DefinitionError(
                f"`{name}` doesn't go with `code.shared_code`, one coupon for everybody; leave one of the two out."
            )
