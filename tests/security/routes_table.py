"""A valid request for every route of the gateway, for tests that check all routes.

`{campaign}`, `{code}` and similar placeholders in path, query and body are filled in by the test.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Mount

from services.gateway.guard import Guarded

CAMPAIGN: Final = {
    "campaign_id": "{campaign}",
    "name": "a name",
    "group": "{group}",
    "discount": {"kind": "custom", "value": "10", "payload": {"a": 1}},
    "applies_to": {"product_ids": ["p1"]},
    "code": {"pattern": "A-########"},
    "limits": {"uses_per_coupon": 1, "caps": [{"per": "day", "uses": 5}]},
    "window": {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2030-01-01T00:00:00Z", "time_zone": "UTC"},
    "eligibility": {"min_order_amount": "1.00", "currency": "USD", "segments_any": ["s"],
                    "conditions": [{"name": "n", "expression": "order.amount > 1.0"}]},
    "issues_on": [{"event": "reward.earned", "match": {"rule_id": "{rule}"}}],
    "metadata": {"a": {"b": [1, 2.5, "c"]}},
}  # fmt: skip
CUSTOMER: Final = {"customer_id": "{customer}", "email": "x@example.com", "mobile": "+4930123456", "segments": ["s"]}
ORDER: Final = {
    "order_id": "{order}", "currency": "USD", "amount": "125.00", "shipping_amount": "5.00",
    "lines": [{"line_id": "1", "product_id": "p1", "quantity": 2, "unit_price": "10.00", "variant_id": "v",
               "collection_ids": ["c"], "metadata": {"a": 1}}],
    "placed_at": "2026-03-01T12:00:00Z", "channel": "web", "metadata": {"tracking": 1},
}  # fmt: skip
CODES: Final = {"codes": ["{code}"], "customer": CUSTOMER, "order": ORDER, "validation_code": "pin"}
ENDPOINT: Final = {"url": "https://shop.example/hooks", "event_types": ["*"]}
WEBHOOK: Final = "/v1/webhooks/0199f6a2-5c1e-7b43-9a51-3d0c8f6b2a10"
GAMEBALL: Final = "/gameball/api/v4.0/integrations"
WHO: Final = {"customerId": "{customer}", "email": "x@example.com", "mobile": "+4930123456"}
PADDLE: Final = {"vendor_id": 1, "vendor_auth_code": "k"}
VOUCHER: Final = {
    "code": "{new}", "type": "DISCOUNT_VOUCHER", "category": "c", "discount": {"type": "AMOUNT", "amount_off": 500},
    "start_date": "2026-01-01T00:00:00Z", "expiration_date": "2030-01-01T00:00:00Z", "redemption": {"quantity": 1},
    "additional_info": "i", "metadata": {"a": 1},
}  # fmt: skip
REDEEMABLES: Final = {
    "redeemables": [{"object": "voucher", "id": "{code}"}], "metadata": {"a": 1},
    "customer": {"source_id": "{customer}", "email": "x@example.com"},
    "order": {"source_id": "{order}", "amount": 12500, "metadata": {"a": 1},
              "items": [{"product_id": "p", "quantity": 2, "price": 1000, "metadata": {"a": 1}}]},
}  # fmt: skip
SESSION: Final = {"type": "LOCK", "key": "{lock}", "ttl": 5, "ttl_unit": "MINUTES"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `body`: JSON, or a string that is sent unchanged."""

    method: str
    path: str
    body: Any = None

    def filled(self, names: Mapping[str, str]) -> "Request":
        """Return the request with its placeholders replaced by `names`."""
        return Request(self.method, _fill(self.path, names), json.loads(_fill(json.dumps(self.body), names)))


def _fill(text: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


REQUESTS: Final = (
    Request("POST", "/v1/campaigns", CAMPAIGN),
    Request("GET", "/v1/campaigns?limit=200&status=active"),
    Request("GET", "/v1/campaigns/{campaign}"),
    Request("PUT", "/v1/campaigns/{campaign}", CAMPAIGN),
    Request("POST", "/v1/campaigns/{campaign}/pause"),
    Request("POST", "/v1/campaigns/{campaign}/resume"),
    Request("POST", "/v1/campaigns/{campaign}/archive"),
    Request("POST", "/v1/campaigns/{campaign}/archive?free_codes=true"),
    Request("POST", "/v1/campaigns/{campaign}/plan", CAMPAIGN),
    Request("POST", "/v1/campaigns/{campaign}/codes/import?from_line=1", "code\n{new}\n"),
    Request("GET", "/v1/coupons?campaign_id={campaign}"),
    Request("GET", "/v1/coupons?group={group}&customer={customer}&state=usable"),
    Request("POST", "/v1/coupons", {"campaign_id": "{campaign}", "customer": CUSTOMER, "count": 1, "occasion": "o"}),
    Request("POST", "/v1/coupons", {"campaign_id": "{campaign}", "codes": ["{new}"]}),
    Request("POST", "/v1/coupons", {"campaign_id": "{campaign}", "count": 1_001}),
    Request("GET", "/v1/coupons/{code}"),
    Request("GET", "/v1/coupons/{code}/history"),
    Request("PATCH", "/v1/coupons/{code}", {"status": "active", "ends_at": "2030-01-01T00:00:00Z", "reason": "r"}),
    Request("POST", "/v1/coupons/{code}/void"),
    Request("GET", "/v1/customers/{customer}/wallet"),
    Request("GET", "/v1/redemptions?campaign_id={campaign}&code={code}&order_id={order}&customer={customer}"),
    Request("GET", "/v1/redemptions?outcome=refused&reason=exhausted&format=csv&since=2026-01-01T00:00:00Z"),
    Request("GET", "/v1/reports/campaigns?since=2026-01-01T00:00:00Z&until=2030-01-01T00:00:00Z"),
    Request("GET", "/v1/reports/campaigns/{campaign}"),
    Request("POST", "/v1/validate", CODES | {"atomic": True}),
    Request("POST", "/v1/explain", {"code": "{code}", "order": ORDER}),
    Request("POST", "/v1/locks", CODES | {"lock_reference": "{newlock}", "lock_seconds": 60, "order_id": "{order}"}),
    Request("POST", "/v1/locks/{lock}/release"),
    Request("DELETE", "/v1/locks/{lock}"),
    Request("POST", "/v1/locks/{lock}/burn", {"order_id": "{order}", "order": ORDER, "customer": CUSTOMER}),
    Request("POST", "/v1/redemptions", CODES | {"lock_reference": "{lock}", "atomic": True}),
    Request("POST", "/v1/redemptions", {"codes": ["{code}"], "order": ORDER}),
    Request("PUT", "/v1/orders/{order}?shop_id={shop}", CODES | {"changed_at": "2026-03-02T12:00:00Z"}),
    Request("POST", "/v1/orders/{order}/payment-failed", {"failed_at": "2026-03-02T12:00:00Z", "shop_id": "{shop}"}),
    Request("POST", "/v1/orders/{order}/cancel", {"cancelled_at": "2026-03-02T12:00:00Z"}),
    Request("POST", "/v1/orders/{order}/return", {"returned_at": "2026-03-02T12:00:00Z", "amount": "1.00",
                                                  "lines": [{"line_id": "1", "quantity": 1}]}),
    Request("POST", "/v1/orders/{order}/return", {"refunded_amount": "1.00", "return_id": "r1", "shop_id": "{shop}"}),
    Request("GET", "/v1/jobs/{job}"),
    Request("GET", "/v1/jobs/{job}/codes?format=csv"),
    Request("POST", "/v1/webhooks", ENDPOINT),
    Request("GET", "/v1/webhooks"),
    Request("GET", WEBHOOK),
    Request("PUT", WEBHOOK, ENDPOINT),
    Request("DELETE", WEBHOOK),
    Request("POST", f"{WEBHOOK}/rotate", {"overlap_seconds": 5}),
    Request("POST", f"{WEBHOOK}/enable"),
    Request("POST", f"{WEBHOOK}/disable", {"reason": "because"}),
    Request("POST", f"{WEBHOOK}/test"),
    Request("GET", f"{WEBHOOK}/deliveries?status=pending"),
    Request("POST", f"{WEBHOOK}/deliveries/1/redeliver"),
    Request("POST", f"{WEBHOOK}/redeliver", {"since": "2026-11-22T00:00:00Z"}),
    Request("POST", "/sitevibes/coupon-manager/{campaign}", {"email": "x@example.com"}),
    Request("POST", "/capillary/v1.1/coupon/redeem", {"root": {"coupon": [{
        "code": "{code}", "validation_code": "pin",
        "customer": {"mobile": "4930123456", "email": "x@example.com", "external_id": "{customer}"},
        "custom_fields": {"field": [{"name": "n", "value": "v"}]},
        "transaction": [{"number": "{order}", "amount": "125.00"}],
    }]}}),
    Request("POST", f"{GAMEBALL}/coupons/predefined", WHO | {"ruleId": "{rule}"}),
    Request("POST", f"{GAMEBALL}/coupons/{{code}}/validate?lock=true&lockDuration=5", WHO | {"pin": "1"}),
    Request("POST", f"{GAMEBALL}/coupons/burn", WHO | {"transactionId": "{order}", "coupons": ["{code}"]}),
    Request("POST", f"{GAMEBALL}/coupons/burn", WHO | {"transactionId": "{order}", "lockReference": "{lock}"}),
    Request("POST", f"{GAMEBALL}/coupons/release", {"lockReference": "{lock}"}),
    Request("DELETE", f"{GAMEBALL}/coupons/{{lock}}"),
    Request("POST", f"{GAMEBALL}/orders", WHO | {
        "orderId": "{order}", "orderDate": "2026-03-01T12:00:00Z", "totalPrice": "125.00", "totalShipping": "1.00",
        "lineItems": [{"productId": "p", "sku": "s", "quantity": 1, "price": "1.00", "collection": ["c"]}],
        "redemption": {"couponsLockReference": "{lock}"},
    }),
    Request("POST", "/paddle/api/2.1/product/create_coupon", PADDLE | {
        "coupon_code": "{new}", "coupon_type": "product", "product_ids": ["1", 2], "discount_type": "flat",
        "discount_amount": 5.5, "currency": "USD", "allowed_uses": 1, "expires": "2030-01-01", "group": "{group}",
        "recurring": 0, "minimum_threshold": 5, "description": "d",
    }),
    Request("POST", "/paddle/api/2.1/product/update_coupon", PADDLE | {
        "coupon_code": "{code}", "new_coupon_code": "{new}", "allowed_uses": 2, "discount_amount": 6,
    }),
    Request("POST", "/paddle/api/2.1/product/update_coupon", PADDLE | {"group": "{group}", "allowed_uses": 2}),
    Request("POST", "/paddle/api/2.0/product/list_coupons", PADDLE | {"product_id": "p1", "limit": 5, "offset": 0}),
    Request("POST", "/paddle/api/2.0/product/delete_coupon", PADDLE | {"coupon_code": "{code}"}),
    Request("POST", "/voucherify/v1/vouchers", VOUCHER | {"code_config": {"pattern": "B-######"}}),
    Request("POST", "/voucherify/v1/vouchers/{new}", VOUCHER),
    Request("GET", "/voucherify/v1/vouchers?campaign={campaign}"),
    Request("GET", "/voucherify/v1/vouchers/{code}"),
    Request("POST", "/voucherify/v1/vouchers/{code}/disable"),
    Request("POST", "/voucherify/v1/vouchers/{code}/enable"),
    Request("POST", "/voucherify/v1/campaigns", {
        "name": "{newcampaign}", "campaign_type": "DISCOUNT_COUPONS", "vouchers_count": 1, "voucher": VOUCHER,
        "description": "d", "metadata": {"a": 1},
    }),
    Request("GET", "/voucherify/v1/campaigns"),
    Request("GET", "/voucherify/v1/campaigns/{campaign}"),
    Request("POST", "/voucherify/v1/campaigns/{campaign}/vouchers?vouchers_count=2"),
    Request("POST", "/voucherify/v1/publications", {
        "campaign": {"name": "{campaign}", "count": 2}, "source_id": "s", "metadata": {"a": 1},
        "customer": {"source_id": "{customer}", "email": "x@example.com", "phone": "+4930123456"},
    }),
    Request("POST", "/voucherify/v1/validations", REDEEMABLES),
    Request("POST", "/voucherify/v1/validations", REDEEMABLES | {"session": SESSION | {"key": "{newlock}"}}),
    Request("POST", "/voucherify/v1/redemptions", REDEEMABLES),
    Request("POST", "/voucherify/v1/redemptions", REDEEMABLES | {"session": SESSION}),
    Request("POST", "/voucherify/v1/redemptions/{redemption}/rollback", {"reason": "r", "metadata": {"a": 1}}),
    Request("POST", "/voucherify/v1/redemptions/{redemption}/rollbacks", {"reason": "r", "metadata": {"a": 1}}),
    Request("GET", "/voucherify/v1/redemptions?campaign={campaign}&customer={customer}&result=SUCCESS"),
    Request("GET", "/v1/customers/{customer}/export"),
    Request("GET", "/v1/erasures/0199f6a2-5c1e-7b43-9a51-3d0c8f6b2a77"),
    Request("DELETE", "/v1/customers/{customer}?free_text=true"),
)  # fmt: skip
NAMES: Final = (
    "group", "campaign", "newcampaign", "code", "new", "customer", "order", "lock", "newlock", "job", "redemption",
    "rule", "shop",
)  # fmt: skip


def routes_of(app: FastAPI | APIRouter, prefix: str = "") -> Iterator[tuple[str, APIRoute]]:
    """Yield every guarded route of the application, its mounts and its routers, each after its path prefix."""
    for route in app.routes:
        if isinstance(route, Mount) and isinstance(route.app, FastAPI):
            yield from routes_of(route.app, prefix + route.path)
        elif isinstance(included := getattr(route, "original_router", None), APIRouter):
            yield from routes_of(included, prefix)
        elif isinstance(route, Guarded):
            yield prefix, route


def requests_of(prefix: str, route: APIRoute) -> list[Request]:
    """Return the requests of the table that go to this route."""
    return [
        one
        for one in REQUESTS
        if one.method in route.methods
        and one.path.startswith(prefix)
        and route.path_regex.match(one.path.partition("?")[0].removeprefix(prefix))
    ]


def headers_of(key: str) -> dict[str, str]:
    """Return headers that send the key in the way of every API."""
    return {"Authorization": f"Bearer {key}", "SecretKey": key}


def facade_of(path: str) -> str:
    """Return the name of the API that serves the path; `v1` is the native one."""
    return path.split("/")[1]


def is_problem(path: str, status: int, document: Any) -> bool:
    """Return whether the response is an error in the format of its API, with a message."""
    if not isinstance(document, dict):
        return False
    return _SHAPES[facade_of(path)](status, document)


def _capillary(status: int, document: Any) -> bool:
    status = document.get("response", {}).get("status", {})
    return status.get("success") == "false" and bool(status.get("message"))


def _voucherify(status: int, document: Any) -> bool:
    return bool(document.get("details")) and "key" in document and document.get("code") == status


_SHAPES: Final[Mapping[str, Callable[[int, Any], bool]]] = {
    "v1": lambda status, it: it.get("status") == status and bool(it.get("detail")) and "code" in it,
    "capillary": _capillary,
    "gameball": lambda _, it: bool(it.get("message")) and isinstance(it.get("code"), int),
    "paddle": lambda _, it: it.get("success") is False and bool(it.get("error", {}).get("message")),
    "sitevibes": lambda _, it: bool(it.get("message")),
    "voucherify": _voucherify,
}
