"""Convert a campaign definition to the `Campaign` that decisions read.

`schemas.campaigns` has checked the document's shape; this module checks that its fields fit together.
"""

from typing import Any

from schemas.campaign_parts import CapDefinition, CodeDefinition, LimitsDefinition
from schemas.campaigns import CampaignDefinition, ConditionDefinition, EligibilityDefinition, IssueRuleDefinition
from schemas.windows import HoursDefinition
from shared.domain.coupons import code_patterns as codes
from shared.domain.model.campaign import (
    Campaign,
    Cap,
    CodeRule,
    Condition,
    Eligibility,
    Hours,
    IssueRule,
    Limits,
    Scope,
    Source,
    Stacking,
)
from shared.domain.model.coupon import code_key
from shared.ledger.conditions import EVENT_VARIABLES, REDEMPTION_VARIABLES, ConditionError, compile_condition
from shared.ledger.definition_values import DefinitionError, discount_offer, minor, window_of

__all__ = ["DefinitionError", "to_domain"]

_CONVERTED = frozenset({"min_order_amount", "min_order_amount_exclusive", "currency", "conditions"})
"""Fields of eligibility that the domain has in another form. The others have the same name there; lists become sets."""

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def to_domain(definition: CampaignDefinition, version: int) -> Campaign:
    """Return `definition` as a `Campaign`. `version` is the ledger's, 0 if it isn't saved. Raises DefinitionError."""
    currency = definition.discount.currency or definition.eligibility.currency
    window = window_of(definition.window, tuple(map(_hours, definition.window.hours)))
    code = _code(definition.code)
    _check_code(definition, code)
    return Campaign(
        campaign_id=definition.campaign_id,
        discount=discount_offer(definition.discount, currency),
        name=definition.name,
        group=definition.group,
        status=definition.status,
        currency=currency,
        scope=_scope(definition),
        code=code,
        limits=_limits(definition.limits, currency),
        window=window,
        eligibility=_eligibility(definition.eligibility, currency),
        stacking=Stacking(
            definition.stacking.policy,
            definition.stacking.group,
            definition.stacking.priority,
            definition.stacking.max_coupons,
        ),
        issues_on=tuple(
            [_issue_rule(number, rule, definition.source.kind) for number, rule in enumerate(definition.issues_on)]
        ),
        source=Source(
            definition.source.kind,
            definition.source.url,
            tuple(sorted(definition.source.headers.items())),
            definition.source.without_code,
        ),
        restore_on=frozenset(definition.restore_on),
        on_return=definition.on_return,
        restore_days=definition.restore_days,
        recurring=definition.recurring,
        recurring_cycles=definition.recurring_cycles,
        validation_code=definition.validation_code,
        metadata=definition.metadata,
        version=version,
    )


def _scope(definition: CampaignDefinition) -> Scope:
    scope = definition.applies_to
    return Scope(
        product_ids=frozenset(scope.product_ids),
        variant_ids=frozenset(scope.variant_ids),
        collection_ids=frozenset(scope.collection_ids),
        excluded_product_ids=frozenset(scope.excluded_product_ids),
        excluded_variant_ids=frozenset(scope.excluded_variant_ids),
        excluded_collection_ids=frozenset(scope.excluded_collection_ids),
        max_units=scope.max_units,
        most_expensive_first=scope.units_from == "dearest",
    )


def _limits(limits: LimitsDefinition, currency: str | None) -> Limits:
    spend = minor(limits.spend_total, currency, "limits.spend_total")
    if spend == 0:
        raise DefinitionError(
            "`limits.spend_total` is 0, so no coupon could take anything off; raise it or leave it null."
        )
    return Limits(
        uses_per_coupon=limits.uses_per_coupon,
        uses_per_customer=limits.uses_per_customer,
        uses_total=limits.uses_total,
        coupons_total=limits.coupons_total,
        coupons_per_customer=limits.coupons_per_customer,
        spend_total_minor=spend,
        caps=tuple(map(_cap, limits.caps)),
    )


def _cap(cap: CapDefinition) -> Cap:
    return Cap(cap.per, cap.each, cap.uses, cap.coupons)


def _hours(hours: HoursDefinition) -> Hours:
    opens, closes = _minutes(hours.opens), _minutes(hours.closes)
    days = frozenset(_WEEKDAYS.index(day) for day in hours.days)
    return Hours(opens, closes if closes > opens else closes + 1440, days)


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def _eligibility(eligibility: EligibilityDefinition, currency: str | None) -> Eligibility:
    same: dict[str, Any] = {
        name: frozenset(value) if isinstance(value, tuple) else value
        for name, value in eligibility
        if name not in _CONVERTED and value is not None
    }
    return Eligibility(
        min_order_minor=minor(eligibility.min_order_amount, currency, "eligibility.min_order_amount") or 0,
        min_order_exclusive=eligibility.min_order_amount is not None and eligibility.min_order_amount_exclusive,
        conditions=tuple([_condition(number, condition) for number, condition in enumerate(eligibility.conditions)]),
        **same,
    )


def _condition(number: int, condition: ConditionDefinition) -> Condition:
    return _compiled(f"eligibility.conditions[{number}]", condition.name, condition.expression, REDEMPTION_VARIABLES)


def _compiled(field: str, name: str, expression: str, variables: frozenset[str]) -> Condition:
    try:
        holds = compile_condition(expression, variables)
    except ConditionError as error:
        raise DefinitionError(f"`{field}`: {error}") from error
    return Condition(
        name, expression, holds, holds.of_request, holds.customer_fields, holds.work if holds.has_rounds else None
    )


def _issue_rule(number: int, rule: IssueRuleDefinition, source: str) -> IssueRule:
    condition = None
    if rule.to != "customer" and source == "external":
        raise DefinitionError(
            f"`issues_on[{number}].to` is {rule.to}, but an external source needs an email address, and a sign-up "
            'names the referring customer by id only; write "customer", or use another source of codes.'
        )
    if rule.condition is not None:
        name = f"issues_on[{number}].condition"
        condition = _compiled(name, name, rule.condition, EVENT_VARIABLES)
    return IssueRule(rule.event, tuple(sorted(rule.match.items())), condition, rule.to, rule.coupons)


def _code(code: CodeDefinition) -> CodeRule:
    """Return the code's rule; prefix, length and suffix are combined into a pattern."""
    pattern = code.pattern
    if code.prefix is not None or code.suffix is not None or code.length is not None:
        random = codes.DEFAULT_PATTERN if code.length is None else "#" * code.length
        pattern = f"{code.prefix or ''}{random}{code.suffix or ''}"
    return CodeRule(pattern, code.charset, code.shared_code)


def _code_field(code: CodeDefinition, error: codes.CodePatternError) -> str:
    """Return the name of the field that has to be changed."""
    if error.about == "charset":
        return "code.charset"
    for name in ("prefix", "suffix"):
        text = getattr(code, name)
        if text is not None and not (text.isascii() and text.isprintable() and text == text.strip()):
            return f"code.{name}"
    in_parts = any(part is not None for part in (code.prefix, code.suffix, code.length))
    return "code.length" if in_parts else "code.pattern"


def _check_code(definition: CampaignDefinition, code: CodeRule) -> None:
    if code.shared_code is None:
        if definition.source.kind == "generated":
            try:
                codes.check(code.pattern, code.charset, definition.limits.coupons_total)
            except codes.CodePatternError as error:
                raise DefinitionError(f"`{_code_field(definition.code, error)}`: {error}") from error
        return
    if not code_key(code.shared_code):
        raise DefinitionError("`code.shared_code` has no character that can be seen; choose another code.")
    shown = code.shared_code.strip()
    if not shown.isprintable() or len(code.shared_code) > codes.MAX_LENGTH:
        hidden = [f"U+{ord(character):04X}" for character in shown if not character.isprintable()]
        raise DefinitionError(
            f"`code.shared_code` must be printable and at most {codes.MAX_LENGTH} characters long"
            + (f"; remove {', '.join(hidden[:3])}." if hidden else ".")
        )
    conflicts = {
        "source.kind": definition.source.kind != "generated",
        "window.valid_for": definition.window.valid_for is not None,
        "window.until": definition.window.until is not None,
        "window.remind_days": definition.window.remind_days is not None,
        "eligibility.holder_only": definition.eligibility.holder_only,
    }
    for name, given in conflicts.items():
        if given:
            raise DefinitionError(
                f"`{name}` can't be combined with `code.shared_code`, one coupon for all customers; remove one of them."
            )
