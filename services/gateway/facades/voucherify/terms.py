"""Conversion of vouchers to campaigns and back, without any rules."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from schemas.campaign_parts import DiscountDefinition
from schemas.campaigns import CampaignDefinition
from schemas.parsing import InvalidDocumentError, parse
from services.gateway.facades.voucherify.bodies import CampaignIn, CodeConfigIn, DiscountIn, VoucherIn
from services.gateway.native.bodies import moment
from services.gateway.problems import Problem
from shared.ledger.definitions import DefinitionError, to_domain
from shared.ledger.wallets import WalletCoupon

SHIPPING: Final = "prod_5h1pp1ng"
"""The vendor's product id for shipping."""


def invalid(detail: str) -> Problem:
    """Return the problem that the vendor calls an invalid payload."""
    return Problem(400, "invalid_request", detail)


def campaign_of_voucher(campaign_id: str, body: VoucherIn, currency: str) -> CampaignDefinition:
    """Build the campaign of a stand-alone voucher. Raises a Problem."""
    return _campaign(
        campaign_id, body, currency, name=body.additional_info or "", category=body.category,
        starts_at=moment(body.start_date), ends_at=moment(body.expiration_date), metadata=body.metadata or {},
    )  # fmt: skip


def campaign_of(body: CampaignIn, currency: str) -> CampaignDefinition:
    """Build a campaign, whose id is its name. Raises a Problem."""
    return _campaign(
        body.name, body.voucher, currency, name=body.description or body.name, category=body.category,
        starts_at=moment(body.start_date), ends_at=moment(body.expiration_date), metadata=body.metadata or {},
    )  # fmt: skip


def _campaign(
    campaign_id: str,
    body: VoucherIn,
    currency: str,
    *,
    name: str,
    category: str | None,
    starts_at: str | None,
    ends_at: str | None,
    metadata: dict[str, Any],
) -> CampaignDefinition:
    discount, scope, needs = _discount(body.discount, currency)
    document = {
        "campaign_id": campaign_id,
        "name": name,
        "category": category,
        "status": "paused" if body.active is False else "active",
        "discount": discount,
        "applies_to": scope,
        "code": _code(body.code_config),
        "limits": {"uses_per_coupon": 1 if body.redemption is None else body.redemption.quantity},
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


def _discount(body: DiscountIn, currency: str) -> tuple[dict[str, Any], dict[str, Any], str | None]:
    """Return the discount, its scope, and the currency that its amounts require."""
    if body.type == "PERCENT" and body.percent_off is not None:
        cap = None if body.amount_limit is None else _decimal(body.amount_limit)
        value = body.percent_off.rstrip("0").rstrip(".") if "." in body.percent_off else body.percent_off
        return {"kind": "percentage", "value": value, "max_discount": cap}, {}, currency if cap else None
    if body.type == "AMOUNT" and body.amount_off is not None:
        return {"kind": "fixed", "value": _decimal(body.amount_off), "currency": currency}, {}, None
    if body.type == "UNIT" and body.unit_type == SHIPPING:
        return {"kind": "free_shipping"}, {}, None
    if body.type == "UNIT" and body.unit_type is not None:
        return (
            {"kind": "free_product", "value": str(body.unit_off or 1), "product_id": body.unit_type}, {}, None,
        )  # fmt: skip
    if body.type == "FIXED":
        raise invalid("discount.type: FIXED, a fixed price, is not supported; use AMOUNT or PERCENT.")
    raise invalid(f"discount: type {body.type} needs its value; give percent_off, amount_off or unit_type.")


def _decimal(hundredths: int) -> str:
    return f"{hundredths // 100}.{hundredths % 100:02}"


def _code(body: CodeConfigIn | None) -> dict[str, Any]:
    if body is None or (body.pattern is not None and "#" not in body.pattern):
        return {}
    if body.pattern is not None:
        return {"pattern": body.pattern, "charset": body.charset}
    return {"prefix": body.prefix, "suffix": body.postfix, "length": body.length, "charset": body.charset}


def chosen_code(body: VoucherIn) -> str | None:
    """Return the voucher's fixed code: `code`, or a pattern without random characters."""
    if body.code is not None:
        return body.code
    pattern = None if body.code_config is None else body.code_config.pattern
    return pattern if pattern is not None and "#" not in pattern else None


def discount_document(definition: CampaignDefinition) -> dict[str, Any] | None:
    """Return the discount in the vendor's format; None for a custom discount, which it doesn't have."""
    build = _DISCOUNTS.get(definition.discount.kind)
    return None if build is None else build(definition.discount)


def _percentage(discount: DiscountDefinition) -> dict[str, Any]:
    document = {"type": "PERCENT", "effect": "APPLY_TO_ORDER", "percent_off": _number(discount.value)}
    if discount.max_discount is not None:
        document["amount_limit"] = _hundredths(discount.max_discount)
    return document


def _amount(discount: DiscountDefinition) -> dict[str, Any]:
    return {"type": "AMOUNT", "effect": "APPLY_TO_ORDER", "amount_off": _hundredths(discount.value or "0")}


def _shipping(discount: DiscountDefinition) -> dict[str, Any]:
    return {"type": "UNIT", "effect": "ADD_MISSING_ITEMS", "unit_off": 1, "unit_type": SHIPPING}


def _product(discount: DiscountDefinition) -> dict[str, Any]:
    units = int(float(discount.value or "1"))
    return {"type": "UNIT", "effect": "ADD_MISSING_ITEMS", "unit_off": units, "unit_type": discount.product_id}


_DISCOUNTS: Final[Mapping[str, Callable[[DiscountDefinition], dict[str, Any]]]] = {
    "percentage": _percentage,
    "fixed": _amount,
    "fixed_rate": _amount,
    "free_shipping": _shipping,
    "free_product": _product,
}
"""Functions that build the vendor's discount, by discount kind."""


def _hundredths(amount: str) -> int:
    whole, _, fraction = amount.partition(".")
    return int(whole + (fraction + "00")[:2])


def _number(text: str | None) -> float | int:
    value = float(text or 0)
    return int(value) if value.is_integer() else value


def voucher_document(coupon: WalletCoupon, definition: CampaignDefinition, holder: str | None = None) -> dict[str, Any]:
    """Return a voucher in the vendor's format."""
    stands_alone = definition.campaign_id.startswith("voucher-")
    return {
        "id": voucher_id(coupon.coupon_id),
        "code": coupon.code,
        "campaign": None if stands_alone else definition.campaign_id,
        "campaign_id": None if stands_alone else definition.campaign_id,
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
    """Return an id in the vendor's format."""
    return f"v_{coupon_id.replace('-', '')}"


def campaign_document(definition: CampaignDefinition, coupons: int) -> dict[str, Any]:
    """Return a campaign in the vendor's format."""
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
