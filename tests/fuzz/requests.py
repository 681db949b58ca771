"""HTTP requests: well-formed ones for every interface, and mutations of them."""

import base64
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from tests.fuzz.events import CODES, customer, moment, order
from tests.fuzz.mutations import alike, mutated
from tests.fuzz.values import hostile, written

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
GAMEBALL: Final = "/gameball/api/v4.0/integrations"
VOUCHERIFY: Final = "/voucherify/v1"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. `headers` are without those of the connection."""

    door: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Template:
    """A well-formed request: `{code}`, `{order}` and so on in the path are filled in; `body` makes the document."""

    door: str
    method: str
    path: str
    body: Callable[[random.Random], Any] | None = None


def _code(chance: random.Random) -> str:
    return chance.choice(CODES)


def _native_order(chance: random.Random) -> dict[str, Any]:
    made = order(chance)
    lines = made["lines"]
    total = sum(line["quantity"] * 1250 for line in lines)
    amount = f"{total // 100}.{total % 100:02}" if lines else "125"
    return {
        "order_id": made["order_id"],
        "currency": "USD",
        "amount": amount,
        "lines": lines,
        "placed_at": made["placed_at"],
        "metadata": made["metadata"],
        "channel": "web",
    }


def _asked(chance: random.Random) -> dict[str, Any]:
    return {
        "codes": chance.sample(CODES, chance.randint(1, 3)),
        "order": _native_order(chance),
        "customer": customer(chance),
        "metadata": {"till": 4, "fields": {"a": ["b", 1]}},
    }


def _campaign(chance: random.Random) -> dict[str, Any]:
    return {
        "campaign_id": f"fuzzed-{chance.randrange(40)}",
        "name": "Fuzzed",
        "discount": {"kind": "custom", "value": "10", "payload": {"points": 5, "deep": {"a": [1, 2]}}},
        "applies_to": {"product_ids": ["p1"], "collection_ids": ["c1"]},
        "code": {"pattern": "FUZZED-####-####"},
        "limits": {"uses_per_coupon": 3, "uses_per_customer": 2, "caps": [{"per": "day", "uses": 100}]},
        "window": {"starts_at": "2026-01-01", "ends_at": moment(chance), "time_zone": "Europe/Berlin"},
        "eligibility": {"min_order_amount": "10.00", "currency": "USD", "segments": ["gold"]},
        "stacking": {"policy": "combinable", "group": "g", "priority": 3},
        "metadata": {"owner": "crm", "n": 1},
    }


def _voucher(chance: random.Random) -> dict[str, Any]:
    return {
        "type": "DISCOUNT_VOUCHER",
        "discount": {"type": "AMOUNT", "amount_off": 1000},
        "start_date": moment(chance),
        "redemption": {"quantity": 1},
        "code_config": {"pattern": "VF-########"},
        "metadata": {"a": 1, "b": {"c": [1]}},
        "category": "New Customers",
    }


def _voucherify_order(chance: random.Random) -> dict[str, Any]:
    return {
        "id": f"fuzz-{chance.randrange(300)}",
        "amount": 12500,
        "items": [{"product_id": "p1", "quantity": 2, "price": 5000, "sku_id": "v1"}, {"quantity": 1, "amount": 2500}],
        "metadata": {"a": 1},
    }


def _voucherify_asked(chance: random.Random) -> dict[str, Any]:
    return {
        "redeemables": [{"object": "voucher", "id": _code(chance)}],
        "order": _voucherify_order(chance),
        "customer": {"source_id": "fuzz-1", "email": "fuzz-1@example.com"},
        "metadata": {"a": {"b": 1}},
    }


def _gameball_order(chance: random.Random) -> dict[str, Any]:
    return {
        "customerId": "fuzz-1",
        "orderId": f"fuzz-{chance.randrange(300)}",
        "orderDate": moment(chance),
        "totalPrice": 125.5,
        "totalPaid": 100,
        "lineItems": [{"productId": "p1", "sku": "v1", "quantity": 2, "price": 12.5, "collection": ["c1"]}],
        "redemption": {"couponsLockReference": "no such lock"},
    }


def _capillary(chance: random.Random) -> dict[str, Any]:
    coupon = {
        "code": _code(chance),
        "validation_code": "",
        "customer": {"mobile": "919999988886", "email": "a@example.com", "external_id": "fuzz-1"},
        "custom_fields": {"field": [{"name": "till", "value": "4"}]},
        "transaction": {"number": f"fuzz-{chance.randrange(300)}", "amount": "5000"},
    }
    return {"root": {"coupon": [coupon] * chance.randint(1, 3)}}


def _paddle(chance: random.Random) -> dict[str, Any]:
    return {
        "coupon_prefix": "PD-", "num_coupons": "2", "description": "x", "coupon_type": "product",
        "product_ids": "510509,511520", "discount_type": chance.choice(("percentage", "flat")),
        "discount_amount": "25", "currency": "USD", "allowed_uses": "1", "expires": "2030-01-01", "recurring": "0",
        "group": "fuzz", "minimum_threshold": "10",
    }  # fmt: skip


def _returned(chance: random.Random) -> dict[str, Any]:
    return {"lines": [{"line_id": "1", "quantity": 1}]}


def _burned(chance: random.Random) -> dict[str, Any]:
    return {"customerId": "fuzz-1", "transactionId": f"t{chance.random()}", "coupons": [_code(chance)]}


TEMPLATES: Final[tuple[Template, ...]] = (
    Template("native", "POST", "/v1/validate", _asked),
    Template("native", "POST", "/v1/redemptions", _asked),
    Template("native", "POST", "/v1/locks", lambda chance: {**_asked(chance), "lock_seconds": 60}),
    Template("native", "POST", "/v1/explain", lambda chance: {"code": _code(chance), "order": _native_order(chance)}),
    Template("native", "POST", "/v1/locks/{lock}/burn", lambda chance: {"order_id": "fuzz-1"}),
    Template("native", "POST", "/v1/locks/{lock}/release"),
    Template("native", "DELETE", "/v1/locks/{lock}"),
    Template("native", "PUT", "/v1/orders/{order}", lambda chance: {**_asked(chance), "changed_at": moment(chance)}),
    Template("native", "POST", "/v1/orders/{order}/payment-failed", lambda chance: {"failed_at": moment(chance)}),
    Template("native", "POST", "/v1/orders/{order}/cancel", lambda chance: {"cancelled_at": moment(chance)}),
    Template("native", "POST", "/v1/orders/{order}/return", _returned),
    Template("native", "POST", "/v1/campaigns", _campaign),
    Template("native", "PUT", "/v1/campaigns/{campaign}", _campaign),
    Template("native", "POST", "/v1/campaigns/{campaign}/plan", _campaign),
    Template("native", "GET", "/v1/campaigns/{campaign}"),
    Template("native", "GET", "/v1/campaigns?limit=5&status=active"),
    Template("native", "POST", "/v1/campaigns/{campaign}/pause"),
    Template(
        "native",
        "POST",
        "/v1/coupons",
        lambda chance: {"campaign_id": "fuzz-made", "customer": customer(chance)},
    ),
    Template("native", "POST", "/v1/coupons", lambda chance: {"campaign_id": "fuzz-made", "count": 3}),
    Template("native", "GET", "/v1/coupons/{code}"),
    Template("native", "GET", "/v1/coupons/{code}/history"),
    Template("native", "POST", "/v1/coupons/{made}/void"),
    Template(
        "native",
        "PATCH",
        "/v1/coupons/{made}",
        lambda chance: {"status": "active", "ends_at": "2027-01-22T00:00:00Z", "reason": "by mistake"},
    ),
    Template("native", "GET", "/v1/coupons?limit=5&campaign_id=fuzz-made"),
    Template("native", "GET", "/v1/customers/{customer}/wallet"),
    Template("native", "GET", "/v1/customers/{customer}/export"),
    Template("native", "DELETE", "/v1/customers/{customer}?free_text=true"),
    Template("native", "GET", "/v1/redemptions?order_id={order}&limit=5"),
    Template("native", "GET", "/v1/reports/campaigns/{campaign}?since=2026-01-01T00:00:00Z"),
    Template("native", "GET", "/v1/jobs/{order}"),
    Template("native", "GET", "/v1/webhooks?limit=5"),
    Template("native", "POST", "/v1/webhooks", lambda chance: {"url": "http://127.0.0.1:9/h", "event_types": ["*"]}),
    Template("voucherify", "POST", f"{VOUCHERIFY}/vouchers", _voucher),
    Template("voucherify", "POST", f"{VOUCHERIFY}/vouchers/{{made}}", _voucher),
    Template("voucherify", "GET", f"{VOUCHERIFY}/vouchers/{{code}}"),
    Template("voucherify", "GET", f"{VOUCHERIFY}/vouchers?limit=5&page=1"),
    Template("voucherify", "POST", f"{VOUCHERIFY}/vouchers/{{made}}/disable"),
    Template(
        "voucherify",
        "POST",
        f"{VOUCHERIFY}/campaigns",
        lambda chance: {"name": f"vf-{chance.randrange(40)}", "vouchers_count": 2, "voucher": _voucher(chance)},
    ),
    Template("voucherify", "GET", f"{VOUCHERIFY}/campaigns/{{campaign}}"),
    Template(
        "voucherify",
        "POST",
        f"{VOUCHERIFY}/campaigns/{{campaign}}/vouchers",
        lambda chance: {"vouchers_count": 1},
    ),
    Template(
        "voucherify",
        "POST",
        f"{VOUCHERIFY}/publications",
        lambda chance: {
            "campaign": {"name": "fuzz-made", "count": 1},
            "customer": {"source_id": "fuzz-1"},
            "metadata": {"a": 1},
        },
    ),
    Template("voucherify", "POST", f"{VOUCHERIFY}/validations", _voucherify_asked),
    Template("voucherify", "POST", f"{VOUCHERIFY}/redemptions", _voucherify_asked),
    Template("voucherify", "POST", f"{VOUCHERIFY}/redemptions/{{order}}/rollback", lambda chance: {"reason": "x"}),
    Template("voucherify", "GET", f"{VOUCHERIFY}/redemptions?limit=5"),
    Template("gameball", "POST", f"{GAMEBALL}/coupons/predefined", lambda chance: {"customerId": "f", "ruleId": 42}),
    Template(
        "gameball",
        "POST",
        f"{GAMEBALL}/coupons/{{code}}/validate",
        lambda chance: {"customerId": "fuzz-1", "lock": True, "lockDuration": 5},
    ),
    Template("gameball", "POST", f"{GAMEBALL}/coupons/burn", _burned),
    Template("gameball", "POST", f"{GAMEBALL}/coupons/release", lambda chance: {"lockReference": "no such lock"}),
    Template("gameball", "DELETE", f"{GAMEBALL}/coupons/{{lock}}"),
    Template("gameball", "POST", f"{GAMEBALL}/orders", _gameball_order),
    Template("capillary", "POST", "/capillary/v1.1/coupon/redeem?format=json", _capillary),
    Template("sitevibes", "POST", "/sitevibes/coupon-manager/{campaign}", lambda chance: {"email": "j@example.com"}),
    Template("paddle", "POST", "/paddle/api/2.1/product/create_coupon", _paddle),
    Template(
        "paddle",
        "POST",
        "/paddle/api/2.1/product/update_coupon",
        lambda chance: {"coupon_code": _code(chance), "allowed_uses": "9", "discount_amount": "5"},
    ),
    Template("paddle", "POST", "/paddle/api/2.0/product/list_coupons", lambda chance: {"product_id": "510509"}),
    Template("paddle", "POST", "/paddle/api/2.0/product/delete_coupon", lambda chance: {"coupon_code": "no such"}),
)


def credentials(door: str, key: str) -> dict[str, str]:
    """Return the credentials as an interface expects them; Paddle's are in the body."""
    basic = base64.b64encode(f"till:{key}".encode()).decode()
    return {
        "native": {"Authorization": f"Bearer {key}"},
        "voucherify": {"X-App-Id": "shop", "X-App-Token": key},
        "gameball": {"SecretKey": key, "APIKey": "x"},
        "capillary": {"Authorization": f"Basic {basic}"},
        "sitevibes": {"X-Auth-Token": key},
        "paddle": {},
    }[door]


class Requests:
    """Makes random requests, most of them with valid credentials. `made`: codes that may be voided and changed."""

    def __init__(self, chance: random.Random, key: str, made: list[str]) -> None:
        self._chance = chance
        self._key = key
        self._made = made

    def next(self) -> HttpRequest:
        chance = self._chance
        template = chance.choice(TEMPLATES)
        body, content_type = self._body(template)
        headers = credentials(template.door, self._key if chance.random() < 0.97 else "wrong")
        if body:
            headers["Content-Type"] = content_type if chance.random() < 0.97 else chance.choice(("text/plain", "x", ""))
        if template.method == "POST" and chance.random() < 0.2:
            headers["Idempotency-Key"] = f"fuzz-{chance.randrange(50)}"
        if chance.random() < 0.05:
            headers[chance.choice(("X-Request-Id", "traceparent", "Accept", "If-Match"))] = self._header_text()
        method = (
            template.method if chance.random() < 0.98 else chance.choice(("PUT", "PATCH", "HEAD", "OPTIONS", "GET"))
        )
        return HttpRequest(template.door, method, self._path(template.path), tuple(headers.items()), body)

    def _body(self, template: Template) -> tuple[bytes, str]:
        if template.body is None:
            return b"", JSON
        document = template.body(self._chance)
        if template.door == "paddle":
            return self._form(document), FORM
        return (written(document) if self._chance.random() < 0.2 else mutated(document, self._chance)), JSON

    def _form(self, fields: Mapping[str, Any]) -> bytes:
        chance = self._chance
        changed = {"vendor_id": "12345", "vendor_auth_code": self._key, **fields}
        for _ in range(chance.randint(0, 3)):
            changed[chance.choice(list(changed)[2:])] = str(alike("1", chance))
        return urlencode(
            [(name, str(value).encode("utf-8", "surrogatepass")) for name, value in changed.items()]
        ).encode()

    def _path(self, path: str) -> str:
        chance = self._chance
        names = {
            "code": _code(chance),
            "made": chance.choice(self._made),
            "order": f"fuzz-{chance.randrange(300)}",
            "campaign": chance.choice(("fuzz", "fuzz-made", f"fuzzed-{chance.randrange(40)}", "none")),
            "customer": f"fuzz-{chance.randrange(200)}",
            "lock": chance.choice(("no such lock", f"order:fuzz-{chance.randrange(300)}")),
        }
        filled = path
        for name, value in names.items():
            if f"{{{name}}}" in filled:
                text = value if chance.random() < 0.7 else self._text()
                filled = filled.replace(f"{{{name}}}", quote(text.encode("utf-8", "surrogatepass"), safe=""))
        if "?" in filled and chance.random() < 0.3:
            name = filled.rpartition("?")[2].partition("=")[0]
            filled += f"&{name}={quote(self._text().encode('utf-8', 'surrogatepass'))}"
        return filled

    def _text(self) -> str:
        value = hostile(self._chance)
        return value if isinstance(value, str) else str(value)[:3_000]

    def _header_text(self) -> str:
        return "".join(one for one in self._text() if " " <= one <= "~")[:5_000]
