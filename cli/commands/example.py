"""`couponry example`: print a campaign or an event to start with."""

import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import uuid4

import orjson
import typer

from cli.apps import new_app
from cli.errors import UsageProblemError
from cli.output import show_json

app = new_app()


class Kind(StrEnum):
    """The documents that `couponry example` can print."""

    CAMPAIGN = "campaign"
    SIGNUP = "signup"
    REWARD = "reward"
    ORDER = "order"
    PAID = "paid"
    CANCELLED = "cancelled"


@app.command()
def example(
    kind: Annotated[Kind, typer.Argument()],
    *,
    customer: Annotated[str, typer.Option(metavar="ID", help="The customer the event is about.")] = "customer_123",
    order: Annotated[str, typer.Option(metavar="ID", help="The order the event is about.")] = "ORD456",
    shop: Annotated[str | None, typer.Option(metavar="ID", help="The shop that the order belongs to.")] = None,
    code: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="A code that the order names; repeatable.")
    ] = None,
    lock: Annotated[str | None, typer.Option(metavar="LOCK", help="The lock that the order burns.")] = None,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="The campaign as YAML instead of JSON.")] = False,
) -> None:
    """Print an example: a campaign to load, or an event to publish. Each event has a new id, so none is a duplicate.

    Sign up and get a coupon: `couponry example campaign | couponry campaigns load -`, then `couponry example signup |
    couponry publish -`, then `couponry customers show customer_123`.

    A campaign to edit by hand: `couponry example campaign --yaml > welcome.yaml`.

    Use it: `couponry example order --code CODE | couponry publish -`, then `couponry redemptions list`.
    """
    if as_yaml and kind is not Kind.CAMPAIGN:
        raise UsageProblemError("--yaml is only for a campaign; events are JSON, one per line. Leave it out.")
    if kind is Kind.CAMPAIGN:
        if as_yaml:
            sys.stdout.write(CAMPAIGN_YAML)
        else:
            show_json(CAMPAIGN)
        return
    now = datetime.now(UTC)
    moment = (now - timedelta(seconds=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
    named = {"customer_id": customer, "email": f"{customer}@example.com"}
    details: dict[Kind, tuple[str, str, str, dict[str, Any]]] = {
        Kind.SIGNUP: ("/signup", "customer.signed_up", customer, {"customer": named, "signed_up_at": moment}),
        Kind.REWARD: (
            "/loyalty",
            "reward.earned",
            customer,
            {"reward_id": f"rw-{uuid4()}", "rule_id": "42", "customer": named, "earned_at": moment},
        ),
        Kind.ORDER: ("/shop", "order.placed", order, _order(order, named, moment, code or [], lock)),
        Kind.PAID: ("/shop", "order.paid", order, {"order_id": order, "paid_at": moment}),
        Kind.CANCELLED: ("/shop", "order.cancelled", order, {"order_id": order, "cancelled_at": moment}),
    }
    source, event_type, subject, data = details[kind]
    if shop is not None and "order_id" in data:
        data["shop_id"] = shop
    event = {"specversion": "1.0", "id": str(uuid4()), "source": source, "type": event_type, "subject": subject}
    event |= {"time": moment, "datacontenttype": "application/json", "data": data}  # type: ignore[dict-item]
    sys.stdout.write(orjson.dumps(event).decode() + "\n")


def _order(order: str, customer: dict[str, str], moment: str, codes: list[str], lock: str | None) -> dict[str, Any]:
    return {
        "order_id": order,
        "customer": customer,
        "placed_at": moment,
        "currency": "USD",
        "amount": "125.00",
        "lines": [
            {"line_id": "1", "product_id": "510509", "quantity": 2, "unit_price": "50.00"},
            {"line_id": "2", "product_id": "511520", "quantity": 1, "unit_price": "25.00"},
        ],
        "coupon_codes": codes,
        "lock_reference": lock,
    }


CAMPAIGN: dict[str, Any] = {
    "campaign_id": "welcome",
    "name": "Ten percent off, for new customers",
    "discount": {"kind": "percentage", "value": "10", "max_discount": "50.00"},
    "code": {"pattern": "WELCOME-####-####"},
    "limits": {"uses_per_coupon": 1, "coupons_per_customer": 1},
    "window": {"valid_for": "P30D"},
    "eligibility": {"min_order_amount": "100.00", "currency": "USD", "holder_only": True},
    "stacking": {"policy": "combinable"},
    "issues_on": [{"event": "customer.signed_up"}, {"event": "reward.earned", "match": {"rule_id": "42"}}],
}

CAMPAIGN_YAML: Final = """\
# The same campaign as `couponry example campaign` prints in JSON. Every field: docs/campaign-files.md
campaign_id: welcome
name: Ten percent off, for new customers
discount:
  kind: percentage
  value: 10
  max_discount: 50.00
code:
  pattern: WELCOME-####-####
limits:
  uses_per_coupon: 1
  coupons_per_customer: 1
window:
  valid_for: P30D
eligibility:
  min_order_amount: 100.00
  currency: USD
  holder_only: true
stacking:
  policy: combinable
issues_on:
  - event: customer.signed_up
  - event: reward.earned
    match:
      rule_id: "42"
"""
