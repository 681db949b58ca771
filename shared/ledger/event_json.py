"""Write the data of an event as JSON that fits into the broker's message size."""

from collections.abc import Mapping
from typing import Any

import orjson

from schemas.limits import MAX_WRITTEN_BYTES


def event_json(data: Mapping[str, Any]) -> str:
    """Return an event's data as JSON, reduced if it would exceed the broker's message size.

    The shares of lines are left out first (a hundred coupons on an order of thousands of lines), then the payloads of
    custom discounts and the details of refusals (hundreds of coupons, from several requests that wait for one payment).
    The ledger and the campaign have all of it. An event that can't be published would block all later ones.
    """
    body = orjson.dumps(data, option=orjson.OPT_UTC_Z)
    for less in (_without_shares, _without_extras):
        if len(body) <= MAX_WRITTEN_BYTES:
            break
        data = {**data, "coupons": [less(coupon) for coupon in data.get("coupons", ())]}
        body = orjson.dumps(data, option=orjson.OPT_UTC_Z)
    return body.decode()


def _without_shares(coupon: dict[str, Any]) -> dict[str, Any]:
    return {**coupon, "lines": []} if coupon.get("lines") else coupon


def _without_extras(coupon: dict[str, Any]) -> dict[str, Any]:
    less = {name: value for name, value in coupon.items() if name != "details"}
    if "discount" in coupon:
        less["discount"] = {name: value for name, value in coupon["discount"].items() if name != "payload"}
    return less
