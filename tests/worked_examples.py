"""Read worked_examples.yaml; its header describes the format."""

import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import yaml

from schemas.campaigns import CampaignDefinition

FILE = Path(__file__).with_name("worked_examples.yaml")

PublishedEvent = tuple[str, dict[str, Any]]
"""(type, data) of an event"""


@dataclass(frozen=True)
class Example:
    """One example, with `coupons` and `steps` as in the file."""

    name: str
    system: str
    campaign: CampaignDefinition
    coupons: list[dict[str, Any]]
    steps: list[dict[str, Any]]

    def with_url(self, url: str) -> CampaignDefinition:
        """Return the campaign with `url` as the address of its external source."""
        if self.campaign.source.kind != "external":
            return self.campaign
        return self.campaign.model_copy(update={"source": self.campaign.source.model_copy(update={"url": url})})

    def with_pool(self) -> CampaignDefinition:
        """Return the campaign with a pool, so that a test can issue a given code to a given customer."""
        source = self.campaign.source.model_copy(update={"kind": "pool"})
        return self.campaign.model_copy(update={"source": source})


def read_examples() -> list[Example]:
    """Return all examples, in the order of the file."""
    return [
        Example(
            one["name"],
            one["system"],
            CampaignDefinition.model_validate_json(orjson.dumps(one["campaign"])),
            one.get("coupons", []),
            one["steps"],
        )
        for one in yaml.safe_load(FILE.read_text("utf-8"))
    ]


def of_order(events: list[PublishedEvent], *, lines: bool) -> dict[str, Any]:
    """Summarize the events of an order in the terms of `expect`, with the discount of each line if `lines`."""
    discount, refused, shares = "0.00", {}, Counter[str]()
    for kind, data in events:
        if kind == "coupon.redeemed":
            discount = data["discount_amount"]
            for line in [line for coupon in data["coupons"] for line in coupon["lines"]]:
                shares[line["line_id"]] += int(Decimal(line["discount_amount"]) * 100)
        elif kind == "coupon.redemption_refused":
            refused |= {coupon["code"]: coupon["reason"] for coupon in data["coupons"]}
    result: dict[str, Any] = {"discount": discount, "refused": refused}
    if lines:
        result["lines"] = {line_id: f"{cents / 100:.2f}" for line_id, cents in shares.items() if cents}
    return result


def of_issue(events: list[PublishedEvent], code_like: str | None) -> dict[str, Any]:
    """Summarize the events of a reward in the terms of `expect`, with `code_like` if every code matches it."""
    codes = [data["code"] for kind, data in events if kind == "coupon.issued"]
    refused = [data["reason"] for kind, data in events if kind == "coupon.issue_refused"]
    result: dict[str, Any] = {"coupons": len(codes)}
    if refused:
        result["refused"] = refused[0]
    if codes and not any(codes):
        result["without_code"] = True
    elif code_like is not None and all(code and re.fullmatch(code_like, code) for code in codes):
        result["code_like"] = code_like
    return result
