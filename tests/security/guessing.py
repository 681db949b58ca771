"""Requests about something that doesn't exist, for every route of the gateway and its facades."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount

from tests.ledger import definition

UNKNOWN_NAME: Final = "NO-ONES-CODE"
NO_ID: Final = str(UUID(int=7))
GAMEBALL: Final = "/gameball/api/v4.0/integrations"
VOUCHERIFY: Final = "/voucherify/v1"
ORDER: Final = {"order_id": "ORD-1", "currency": "USD", "amount": "125.00"}
REDEEMABLES: Final = {"redeemables": [{"object": "voucher", "id": UNKNOWN_NAME}]}
VOUCHER: Final = {"discount": {"type": "PERCENT", "percent_off": 10}}
NO_CAMPAIGN: Final = definition(UNKNOWN_NAME).model_dump(mode="json", exclude_none=True)

PARAMETERS: Final[Mapping[str, str]] = {"endpoint_id": NO_ID, "job_id": NO_ID, "erasure_id": NO_ID, "delivery_id": "7"}
"""The value of each path parameter; all others are UNKNOWN_NAME."""

BODIES: Final[Mapping[str, Any]] = {
    "PUT /v1/campaigns/{campaign_id}": NO_CAMPAIGN,
    "POST /v1/coupons": {"campaign_id": UNKNOWN_NAME},
    "PATCH /v1/coupons/{code}": {"status": "active"},
    "POST /v1/validate": {"codes": [UNKNOWN_NAME]},
    "POST /v1/explain": {"code": UNKNOWN_NAME},
    "POST /v1/locks": {"codes": [UNKNOWN_NAME]},
    "POST /v1/locks/{lock_reference}/burn": {"order_id": "ORD-1"},
    "POST /v1/redemptions": {"codes": [UNKNOWN_NAME], "order": ORDER},
    "PUT /v1/orders/{order_id}": {
        "lock_reference": UNKNOWN_NAME, "order": {"currency": "USD", "amount": "125.00"},
    },
    "PUT /v1/webhooks/{endpoint_id}": {"url": "https://shop.example/hooks"},
    "POST /v1/webhooks/{endpoint_id}/redeliver": {"since": "2026-11-22T00:00:00Z"},
    "POST /sitevibes/coupon-manager/{campaign}": {"email": "john@example.com"},
    "POST /capillary/v1.1/coupon/redeem": {"root": {"coupon": {"code": UNKNOWN_NAME}}},
    f"POST {GAMEBALL}/coupons/burn": {"transactionId": "T1", "coupons": [UNKNOWN_NAME]},
    f"POST {GAMEBALL}/coupons/release": {"lockReference": UNKNOWN_NAME},
    f"POST {GAMEBALL}/coupons/{{code}}/validate": {"customerId": "john"},
    f"POST {GAMEBALL}/orders": {
        "customerId": "john", "orderId": "O1", "totalPrice": 125.0,
        "redemption": {"couponsLockReference": UNKNOWN_NAME},
    },
    "POST /paddle/api/2.1/product/update_coupon": {"coupon_code": UNKNOWN_NAME, "allowed_uses": 3},
    "POST /paddle/api/2.0/product/delete_coupon": {"coupon_code": UNKNOWN_NAME},
    f"POST {VOUCHERIFY}/publications": {"campaign": {"name": UNKNOWN_NAME}, "customer": {"source_id": "john"}},
    f"POST {VOUCHERIFY}/validations": REDEEMABLES,
    f"POST {VOUCHERIFY}/redemptions": REDEEMABLES,
}  # fmt: skip
"""Bodies of the routes that need one and whose response shows whether the named thing exists."""

QUERIES: Final[Mapping[str, str]] = {"GET /v1/redemptions": f"?code={UNKNOWN_NAME}"}

REVEALS_NOTHING: Final[Mapping[str, str]] = {
    "POST /v1/campaigns": "creates what it names",
    "GET /v1/campaigns": "a list",
    "POST /v1/campaigns/{campaign_id}/plan": "shows what would be created",
    "GET /v1/coupons": "a list; a customer without coupons and an unknown one look the same",
    "GET /v1/reports/campaigns": "a list",
    "POST /v1/orders/{order_id}/payment-failed": "releases nothing if the order isn't known",
    "POST /v1/orders/{order_id}/cancel": "records an order that isn't known yet",
    "POST /v1/orders/{order_id}/return": "records an order that isn't known yet",
    "POST /v1/webhooks": "creates what it names",
    "GET /v1/webhooks": "a list",
    f"POST {GAMEBALL}/coupons/predefined": "names a rule",
    "POST /paddle/api/2.1/product/create_coupon": "creates what it names",
    "POST /paddle/api/2.0/product/list_coupons": "a list",
    f"POST {VOUCHERIFY}/vouchers": "creates what it names",
    f"POST {VOUCHERIFY}/vouchers/{{code}}": "creates what it names",
    f"GET {VOUCHERIFY}/vouchers": "a list",
    f"POST {VOUCHERIFY}/campaigns": "creates what it names",
    f"GET {VOUCHERIFY}/campaigns": "a list",
    f"GET {VOUCHERIFY}/redemptions": "a list",
    "GET /openapi.json": "public",
    "HEAD /openapi.json": "public",
    "GET /docs": "public",
}
"""Routes that don't reveal whether something exists, and why."""


def routes_of(app: FastAPI) -> Iterator[tuple[str, BaseRoute]]:
    """Yield every route of the application and of its mounts, as `METHOD /path`."""
    yield from _walk(app.routes, "")


def _walk(routes: Sequence[BaseRoute], prefix: str) -> Iterator[tuple[str, BaseRoute]]:
    for route in routes:
        if isinstance(route, Mount):
            yield from _walk(route.routes, prefix + route.path)
        elif hasattr(route, "original_router"):
            yield from _walk(route.original_router.routes, prefix)
        else:
            for method in sorted(route.methods or ()):  # type: ignore[attr-defined]
                yield f"{method} {prefix}{route.path}", route  # type: ignore[attr-defined]


def path_of(name: str, **values: str) -> str:
    """Return the path of a route with an unknown name for every parameter that isn't in `values`."""
    path = name.partition(" ")[2]
    while "{" in path:
        parameter = path[path.index("{") + 1 : path.index("}")]
        value = values.get(parameter) or PARAMETERS.get(parameter, UNKNOWN_NAME)
        path = path.replace("{" + parameter + "}", value)
    return path + QUERIES.get(name, "")


async def guess(client: httpx.AsyncClient, name: str, key: str) -> httpx.Response:
    """Send a request about something unknown, as a caller with `key`.

    Each is about another order, because the content that an order has already isn't judged again.
    """
    sent = {"Authorization": f"Bearer {key}", "SecretKey": key}
    method = name.partition(" ")[0]
    if "codes/import" in name:
        return await client.post(path_of(name), content="A-1\n", headers=sent | {"Content-Type": "text/csv"})
    path = path_of(name, order_id=str(uuid4()))
    return await client.request(method, path, json=BODIES.get(name), headers=sent)
