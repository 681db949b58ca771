"""Vouchers as campaigns, and back: no rule of its own."""

from typing import Any, Final

import orjson

from schemas.campaigns import CampaignDefinition
from schemas.parsing import InvalidDocumentError, parse
from services.gateway.facades.voucherify.bodies import CampaignIn, CodeConfigIn, DiscountIn, VoucherIn
from services.gateway.native.bodies import moment
from services.gateway.problems import Problem
from shared.ledger.definitions import DefinitionError, to_domain
from shared.ledger.queries import WalletCoupon

SHIPPING: Final = "prod_5h1pp1ng"
"""The vendor's product that stands for shipping."""


def invalid(detail: str) -> Problem:
    """What the vendor calls an invalid payload."""
    return Problem(400, "invalid_request", detail)


def campaign_of_voucher(campaign_id: str, told: VoucherIn, currency: str) -> CampaignDefinition:
    """The campaign of a voucher that stands alone. Raises a Problem."""
    return _campaign(
        campaign_id, told, currency, name=told.additional_info or "", category=told.category,
        starts_at=moment(told.start_date), ends_at=moment(told.expiration_date), metadata=told.metadata or {},
    )  # fmt: skip


def campaign_of(told: CampaignIn, currency: str) -> CampaignDefinition:
    """A campaign, under its name as its id. Raises a Problem."""
    return _campaign(
        told.name, told.voucher, currency, name=told.description or told.name, category=told.category,
        starts_at=moment(told.start_date), ends_at=moment(told.expiration_date), metadata=told.metadata or {},
    )  # fmt: skip


def _campaign(
    campaign_id: str,
    told: VoucherIn,
    currency: str,
    *,
    name: str,
    category: str | None,
    starts_at: str | None,
    ends_at: str | None,
    metadata: dict[str, Any],
) -> CampaignDefinition:
    discount, scope, needs = _discount(told.discount, currency)
    document = {
        "campaign_id": campaign_id,
        "name": name,
        "category": category,
        "status": "paused" if told.active is False else "active",
        "discount": discount,
        "applies_to": scope,
        "code": _code(told.code_config),
        "limits": {"uses_per_coupon": 1 if told.redemption is None else told.redemption.quantity},
        "window": {"starts_at": starts_at, "ends_at": ends_at},
        "eligibility": {"currency": needs},
        "metadata": metadata,
    }
    try:
        definition = parse(CampaignDefinition, orjson.dumps(document))
        to_domain(definition, 0)
    except (InvalidDocumentError, DefinitionError) as error:
        raise invalid(str(error)) from None
    return definition


def _discount(told: DiscountIn, currency: str) -> tuple[dict[str, Any], dict[str, Any], str | None]:
    """(the discount, what it applies to, the currency that its amounts need)."""
    if told.type == "PERCENT" and told.percent_off is not None:
        cap = None if told.amount_limit is None else _decimal(told.amount_limit)
        value = told.percent_off.rstrip("0").rstrip(".") if "." in told.percent_off else told.percent_off
        return {"kind": "percentage", "value": value, "max_discount": cap}, {}, currency if cap else None
    if told.type == "AMOUNT" and told.amount_off is not None:
        return {"kind": "fixed", "value": _decimal(told.amount_off), "currency": currency}, {}, None
    if told.type == "UNIT" and told.unit_type == SHIPPING:
        return {"kind": "free_shipping"}, {}, None
    if told.type == "UNIT" and told.unit_type is not None:
        return (
            {"kind": "free_product", "value": str(told.unit_off or 1), "product_id": told.unit_type}, {}, None,
        )  # fmt: skip
    if told.type == "FIXED":
        raise invalid(
            "discount.type: FIXED, a fixed price, is nothing that a coupon can be here; use AMOUNT or PERCENT."
        )
    raise invalid(f"discount: a discount of type {told.type} says how much; give percent_off, amount_off or unit_type.")


def _decimal(hundredths: int) -> str:
    return f"{hundredths // 100}.{hundredths % 100:02}"


def _code(told: CodeConfigIn | None) -> dict[str, Any]:
    if told is None or (told.pattern is not None and "#" not in told.pattern):
        return {}
    if told.pattern is not None:
        return {"pattern": told.pattern, "charset": told.charset}
    return {"prefix": told.prefix, "suffix": told.postfix, "length": told.length, "charset": told.charset}


def chosen_code(told: VoucherIn) -> str | None:
    """The voucher's own code: given, or a pattern in which nothing is random."""
    if told.code is not None:
        return told.code
    pattern = None if told.code_config is None else told.code_config.pattern
    return pattern if pattern is not None and "#" not in pattern else None


def discount_document(definition: CampaignDefinition) -> dict[str, Any] | None:
    """The discount in the vendor's words; None for a custom one, which has none."""
    discount = definition.discount
    match discount.kind:
        case "percentage":
            told: dict[str, Any] = {
                "type": "PERCENT",
                "effect": "APPLY_TO_ORDER",
                "percent_off": _number(discount.value),
            }
            if discount.max_discount is not None:
                told["amount_limit"] = _hundredths(discount.max_discount)
            return told
        case "fixed" | "fixed_rate":
            return {"type": "AMOUNT", "effect": "APPLY_TO_ORDER", "amount_off": _hundredths(discount.value or "0")}
        case "free_shipping":
            return {"type": "UNIT", "effect": "ADD_MISSING_ITEMS", "unit_off": 1, "unit_type": SHIPPING}
        case "free_product":
            return {
                "type": "UNIT",
                "effect": "ADD_MISSING_ITEMS",
                "unit_off": int(float(discount.value or "1")),
                "unit_type": discount.product_id,
            }
    return None


def _hundredths(amount: str) -> int:
    whole, _, fraction = amount.partition(".")
    return int(whole + (fraction + "00")[:2])


def _number(text: str | None) -> float | int:
    value = float(text or 0)
    return int(value) if value.is_integer() else value


def voucher_document(coupon: WalletCoupon, definition: CampaignDefinition, holder: str | None = None) -> dict[str, Any]:
    """A voucher in the vendor's words."""
    alone = definition.campaign_id.startswith("voucher-")
    return {
        "id": voucher_id(coupon.coupon_id),
        "code": coupon.code,
        "campaign": None if alone else definition.campaign_id,
        "campaign_id": None if alone else definition.campaign_id,
        "category": definition.category,
        "type": "DISCOUNT_VOUCHER",
        "discount": discount_document(definition),
        "gift": None,
        "loyalty_card": None,
        "start_date": moment(to_domain(definition, 0).window.starts_at or coupon.starts_at),
        "expiration_date": moment(coupon.ends_at),
        "active": coupon.state not in {"voided", "campaign_inactive", "pooled"},
        "additional_info": definition.name or None,
        "metadata": definition.metadata,
        "is_referral_code": False,
        "created_at": moment(coupon.issued_at),
        "updated_at": None,
        "holder_id": holder,
        "redemption": {
            "quantity": coupon.uses_limit,
            "redeemed_quantity": coupon.used_uses,
            "object": "list",
            "url": f"/v1/vouchers/{coupon.code}/redemptions?page=1&limit=10",
        },
        "object": "voucher",
    }


def voucher_id(coupon_id: str) -> str:
    """The vendor's form of an id."""
    return f"v_{coupon_id.replace('-', '')}"


def campaign_document(definition: CampaignDefinition, coupons: int) -> dict[str, Any]:
    """A campaign in the vendor's words."""
    window = to_domain(definition, 0).window
    return {
        "id": definition.campaign_id,
        "name": definition.campaign_id,
        "description": definition.name or None,
        "campaign_type": "DISCOUNT_COUPONS",
        "type": "AUTO_UPDATE",
        "category": definition.category,
        "start_date": moment(window.starts_at),
        "expiration_date": moment(window.ends_at),
        "active": definition.status == "active",
        "metadata": definition.metadata,
        "vouchers_count": coupons,
        "vouchers_generation_status": "DONE",
        "voucher": {
            "type": "DISCOUNT_VOUCHER",
            "discount": discount_document(definition),
            "redemption": {"quantity": definition.limits.uses_per_coupon},
            "code_config": {"pattern": definition.code.pattern, "prefix": definition.code.prefix},
        },
        "object": "campaign",
    }
