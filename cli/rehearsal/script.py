"""A rehearsal's script: campaigns, and what happens one step after another, with what is expected of each.

    campaigns:
      - {campaign_id: ten, discount: {kind: percentage, value: 10}, code: {shared_code: TEN}}
    steps:
      - order: {amount: 100.00, coupon_codes: [TEN]}
        then: TEN takes 10.00 USD off

A step is one event (`order`, `paid`, `cancelled`, `returned`, `signed_up`, `reward`), a `campaign` as it is from then
on, a code to `void`, or `codes` imported for a campaign. What an event leaves out is filled in: an order of ann's in
USD, a minute after the step before. `$1` stands for the first code that was issued, `$2` for the second.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from schemas.campaigns import CampaignDefinition

EVENTS: Final = {
    "order": "order.placed",
    "paid": "order.paid",
    "cancelled": "order.cancelled",
    "returned": "order.returned",
    "signed_up": "customer.signed_up",
    "reward": "reward.earned",
}
OTHERS: Final = ("campaign", "void", "codes")
_MOMENTS: Final = {
    "order": "placed_at",
    "paid": "paid_at",
    "cancelled": "cancelled_at",
    "returned": "returned_at",
    "signed_up": "signed_up_at",
    "reward": "earned_at",
}

BEGINNING: Final = datetime(2026, 6, 1, 12, tzinfo=UTC)
"""A Monday at noon, UTC: when the first step happens unless it says otherwise."""

_ISSUED: Final = re.compile(r"\$[1-9][0-9]*")


class ScriptError(ValueError):
    """A script that can't be played. The text says which step, and what to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens: `kind` is a name of EVENTS or OTHERS. `then`: the lines that are expected, None: any."""

    number: int
    kind: str
    given: Any
    then: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """Campaigns and steps. `field` is the campaign's field that the script shows, for the page of all rules."""

    campaigns: tuple[CampaignDefinition, ...]
    steps: tuple[Step, ...]
    field: str | None = None
    says: str = ""
    burn_on: str = "placed"


def steps_of(listed: Any) -> Iterator[Step]:
    """The steps of a script as its file has them. Raises ScriptError."""
    if not isinstance(listed, list) or not listed:
        raise ScriptError("steps is missing; list at least one, like `- order: {amount: 100.00, coupon_codes: [TEN]}`.")
    for number, step in enumerate(listed, start=1):
        if not isinstance(step, dict):
            raise ScriptError(f"Step {number} is no mapping; write it as `order: {{…}}` and `then: …`.")
        then = step.get("then")
        kinds = [name for name in step if name != "then"]
        if len(kinds) != 1 or kinds[0] not in (*EVENTS, *OTHERS):
            known = ", ".join((*EVENTS, *OTHERS))
            raise ScriptError(f"Step {number} has {', '.join(kinds) or 'nothing'}; give exactly one of {known}.")
        yield Step(number, kinds[0], step[kinds[0]], _lines(then, number))


def _lines(then: Any, number: int) -> tuple[str, ...] | None:
    if then is None or isinstance(then, str):
        return None if then is None else (then,)
    if isinstance(then, list) and all(isinstance(line, str) for line in then):
        return tuple(then)
    raise ScriptError(f"Step {number}: `then` is a line or a list of lines.")


@dataclass(slots=True)
class Filling:
    """What steps leave out, from what came before. `prefix` goes before ids, so that scripts may share a ledger."""

    prefix: str = ""
    now: datetime = BEGINNING - timedelta(minutes=1)
    last_order: str = ""
    orders: int = 0
    issued: list[str] = field(default_factory=list)

    def event(self, step: Step) -> dict[str, Any]:
        """The `data` of a step's event, complete. Raises ScriptError."""
        if not isinstance(step.given, Mapping):
            raise ScriptError(f"Step {step.number}: {step.kind} holds the event's fields, like {{order_id: A1}}.")
        data: dict[str, Any] = dict(step.given)
        moment = _MOMENTS[step.kind]
        self.now += timedelta(minutes=1)
        data.setdefault(moment, self.now.isoformat())
        with suppress(ValueError, TypeError):  # whoever reads the event says what is wrong with it
            self.now = max(self.now, datetime.fromisoformat(str(data[moment])))
        if step.kind == "order":
            self._order(data)
        elif step.kind in ("paid", "cancelled", "returned"):
            data["order_id"] = f"{self.prefix}{data['order_id']}" if "order_id" in data else self.last_order
        else:
            data["customer"] = self._customer(data.get("customer", "ann"))
            if data.get("referred_by"):
                data["referred_by"] = f"{self.prefix}{data['referred_by']}"
        if step.kind == "reward":
            data["reward_id"] = f"{self.prefix}{data.get('reward_id', f'reward-{step.number}')}"
        return data

    def _order(self, data: dict[str, Any]) -> None:
        self.orders += 1
        data["order_id"] = self.last_order = f"{self.prefix}{data.get('order_id', f'order-{self.orders}')}"
        data["customer"] = self._customer(data.get("customer", "ann"))
        data.setdefault("currency", "USD")
        lines = [dict(line) for line in data.get("lines") or ()]
        for number, line in enumerate(lines, start=1):
            line.setdefault("line_id", str(number))
            line.setdefault("quantity", 1)
        if lines:
            data["lines"] = lines
            total = sum((Decimal(str(line.get("unit_price", 0))) * line["quantity"] for line in lines), Decimal())
            data.setdefault("amount", str(total))
        data["coupon_codes"] = [self.code(code) for code in data.get("coupon_codes") or ()]

    def _customer(self, given: Any) -> Any:
        """A customer by id alone, or with more; null stays nobody."""
        named = {"customer_id": given} if isinstance(given, str) else given
        if not isinstance(named, dict) or "customer_id" not in named:
            return named
        return {**named, "customer_id": f"{self.prefix}{named['customer_id']}"}

    def code(self, code: Any) -> Any:
        """A code; `$2` is the second that was issued."""
        if isinstance(code, str) and _ISSUED.fullmatch(code):
            number = int(code[1:])
            return self.issued[number - 1] if number <= len(self.issued) else code
        return code

    def shown(self, text: str) -> str:
        """`text` with what differs from ledger to ledger taken out: codes that were drawn, and the prefix."""
        for number, code in enumerate(self.issued, start=1):
            text = text.replace(code, f"${number}")
        return text.replace(self.prefix, "") if self.prefix else text
