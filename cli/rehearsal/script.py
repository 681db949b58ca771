"""A rehearsal's script: campaigns and steps, each with its expected result.

    campaigns:
      - {campaign_id: ten, discount: {kind: percentage, value: 10}, code: {shared_code: TEN}}
    steps:
      - order: {amount: 100.00, coupon_codes: [TEN]}
        then: TEN takes 10.00 USD off

A step is one event (`order`, `changed`, `paid`, `payment_failed`, `cancelled`, `returned`, `signed_up`, `reward`,
`revoked`), a new version of a `campaign`, a code to `void`, or `codes` to import for a campaign. Missing fields of an
event are filled in: the customer ann, USD, a minute after the previous step; all events of orders but `order` refer to
the last order and its shop, `revoked` to the last reward. `$1` means the first code that was issued, `$2` the second.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from schemas.campaigns import CampaignDefinition
from schemas.limits import MAX_QUANTITY
from shared.domain.model.customer import DEFAULT_RULES, IdentityRules
from shared.domain.model.money import MoneyError, format_minor
from shared.domain.model.quantity import amount_of, parse_quantity, parse_unit_price

EVENTS: Final = {
    "order": "order.placed",
    "changed": "order.changed",
    "payment_failed": "order.payment_failed",
    "paid": "order.paid",
    "cancelled": "order.cancelled",
    "returned": "order.returned",
    "signed_up": "customer.signed_up",
    "reward": "reward.earned",
    "revoked": "reward.revoked",
}
OTHERS: Final = ("campaign", "void", "codes")
_TIME_FIELDS: Final = {
    "order": "placed_at",
    "changed": "changed_at",
    "payment_failed": "failed_at",
    "paid": "paid_at",
    "cancelled": "cancelled_at",
    "returned": "returned_at",
    "signed_up": "signed_up_at",
    "reward": "earned_at",
    "revoked": "revoked_at",
}

BEGINNING: Final = datetime(2026, 6, 1, 12, tzinfo=UTC)
"""A Monday at noon, UTC: the time of the first step unless it gives one."""

_ISSUED: Final = re.compile(r"\$[1-9][0-9]*")


class ScriptError(ValueError):
    """A script that can't be played. The message names the step and says what to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `kind` is a key of EVENTS or one of OTHERS; `then` are the expected lines, None for any."""

    number: int
    kind: str
    value: Any
    then: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """Campaigns and steps. `field` is the campaign field that the script documents in docs/rules.md.

    `identity`: how customers are recognised (`email_plus`, `placeholders`).
    """

    campaigns: tuple[CampaignDefinition, ...]
    steps: tuple[Step, ...]
    field: str | None = None
    says: str = ""
    burn_on: str = "placed"
    identity: IdentityRules = DEFAULT_RULES


def steps_of(listed: Any) -> Iterator[Step]:
    """Yield the steps of a script from its file's list. Raises ScriptError."""
    if not isinstance(listed, list) or not listed:
        raise ScriptError("steps is missing; list at least one, like `- order: {amount: 100.00, coupon_codes: [TEN]}`.")
    for number, step in enumerate(listed, start=1):
        if not isinstance(step, dict):
            raise ScriptError(f"Step {number} is not a mapping; write it as `order: {{…}}` and `then: …`.")
        then = step.get("then")
        kinds = [name for name in step if name != "then"]
        if len(kinds) != 1 or kinds[0] not in (*EVENTS, *OTHERS):
            known = ", ".join((*EVENTS, *OTHERS))
            raise ScriptError(f"Step {number} has {', '.join(kinds) or 'nothing'}; give exactly one of {known}.")
        yield Step(number, kinds[0], step[kinds[0]], _lines(then, number))


def codes_of(step: Step) -> dict[str, list[str]]:
    """Return the codes of a `codes` step by campaign. Raises ScriptError."""
    listed_by_campaign = step.value if isinstance(step.value, dict) else {}
    if listed_by_campaign and all(
        isinstance(listed, list) and listed and all(map(_is_code, listed)) for listed in listed_by_campaign.values()
    ):
        return dict(listed_by_campaign)
    raise ScriptError(f"Step {step.number}: give lists of codes by campaign, as strings, like {{ten: [TEN-1, TEN-2]}}.")


def _is_code(code: Any) -> bool:
    return isinstance(code, str) and bool(code.strip())


def _filled(number: int, line: Any) -> Any:
    return {"line_id": str(number), "quantity": 1, **line} if isinstance(line, dict) else line


def _amount(line: Any, currency: str) -> int:
    """Return the amount of a line in minor units. Raises MoneyError, TypeError or LookupError for an invalid one."""
    quantity = parse_quantity(str(line["quantity"]), MAX_QUANTITY)
    return amount_of(quantity, parse_unit_price(str(line["unit_price"]), currency))


def _lines(then: Any, number: int) -> tuple[str, ...] | None:
    if then is None or isinstance(then, str):
        return None if then is None else (then,)
    if isinstance(then, list) and all(isinstance(line, str) for line in then):
        return tuple(then)
    raise ScriptError(f"Step {number}: `then` must be a line or a list of lines.")


@dataclass(slots=True)
class Filling:
    """The values for fields that steps leave out. `prefix` is put before ids, so that scripts can share a ledger."""

    prefix: str = ""
    now: datetime = BEGINNING - timedelta(minutes=1)
    last_order: str = ""
    last_shop: Any = None
    last_reward: str = ""
    orders: int = 0
    issued: list[str] = field(default_factory=list)
    drawn: dict[str, str] = field(default_factory=dict)
    external_codes: int = 0

    def event(self, step: Step) -> dict[str, Any]:
        """Return the complete `data` of a step's event. Raises ScriptError."""
        if not isinstance(step.value, Mapping):
            raise ScriptError(f"Step {step.number}: {step.kind} needs the event's fields, like {{order_id: A1}}.")
        data: dict[str, Any] = dict(step.value)
        time_field = _TIME_FIELDS[step.kind]
        data.setdefault(time_field, self.later().isoformat())
        with suppress(ValueError, TypeError):  # the event's reader reports what is wrong
            self.now = max(self.now, datetime.fromisoformat(str(data[time_field])))
        if step.kind in ("order", "changed"):
            self._order(step, data)
        elif step.kind in ("paid", "payment_failed", "cancelled", "returned"):
            if not data.get("order_id"):
                data.setdefault("shop_id", self.last_shop)
            data["order_id"] = self._prefixed(data.get("order_id")) or self.last_order
            if not data["order_id"]:
                raise ScriptError(
                    f"Step {step.number}: {step.kind} needs an order. Place one in an earlier step, or give order_id."
                )
        elif step.kind == "revoked":
            data["reward_id"] = self._prefixed(data.get("reward_id")) or self.last_reward
            if not data["reward_id"]:
                raise ScriptError(f"Step {step.number}: revoked needs a reward. Give reward_id, or earn one earlier.")
        else:
            data["customer"] = self._customer(data.get("customer", "ann"))
            data["referred_by"] = self._prefixed(data.get("referred_by"))
        if step.kind == "reward":
            data["reward_id"] = self._prefixed(data.get("reward_id", f"reward-{step.number}"))
            self.last_reward = str(data["reward_id"])
        return data

    def _order(self, step: Step, data: dict[str, Any]) -> None:
        """Fill in an order. Wrong values are left as they are: the event's reader reports them."""
        self.orders += 1
        if step.kind == "changed" and "order_id" not in data:
            data["order_id"] = self.last_order
            data.setdefault("shop_id", self.last_shop)
        else:
            data["order_id"] = self._prefixed(data.get("order_id", f"order-{self.orders}"))
        self.last_order, self.last_shop = str(data["order_id"]), data.get("shop_id")
        data["customer"] = self._customer(data.get("customer", "ann"))
        data["subscription_id"] = self._prefixed(data.get("subscription_id"))
        data.setdefault("currency", "USD")
        lines = data.get("lines")
        if isinstance(lines, list) and lines:
            filled = [_filled(number, line) for number, line in enumerate(lines, start=1)]
            data["lines"] = filled
            with suppress(MoneyError, TypeError, LookupError):
                currency = str(data["currency"]).upper()
                total = sum([_amount(one, currency) for one in filled])
                data.setdefault("amount", format_minor(total, currency))
        if isinstance(codes := data.get("coupon_codes"), list):
            data["coupon_codes"] = [self.code(step, code) for code in codes]

    def _customer(self, customer: Any) -> Any:
        """Return the customer with a prefixed id. A string is an id; null stays null (a guest)."""
        named = {"customer_id": customer} if isinstance(customer, str) else customer
        if not isinstance(named, dict) or "customer_id" not in named:
            return named
        return {**named, "customer_id": self._prefixed(named["customer_id"])}

    def _prefixed(self, name: Any) -> Any:
        return f"{self.prefix}{name}" if isinstance(name, str) and name else name

    def code(self, step: Step, code: Any) -> Any:
        """Return a code; `$2` is the second that was issued. Raises ScriptError if fewer were issued."""
        if not isinstance(code, str) or not _ISSUED.fullmatch(code):
            return code
        number = int(code[1:])
        if number > len(self.issued):
            raise ScriptError(f"Step {step.number}: there is no {code}; {len(self.issued)} codes were issued before.")
        return self.issued[number - 1]

    def later(self) -> datetime:
        """Move the clock one minute past the previous step and return it."""
        self.now += timedelta(minutes=1)
        return self.now

    def external_code(self) -> str:
        """Return the next code of a simulated external source."""
        self.external_codes += 1
        return f"{self.prefix}EXTERNAL-{self.external_codes}"

    def record_issued(self, code: str, drawn: bool) -> None:
        """Record an issued code. A `drawn` (random) code differs each time the script is played."""
        self.issued.append(code)
        if drawn:
            self.drawn[code] = f"${len(self.issued)}"

    def shown(self, text: str) -> str:
        """Return `text` without the parts that differ between ledgers: random codes and the prefix."""
        for code, name in self.drawn.items():
            text = text.replace(code, name)
        return text.replace(self.prefix, "") if self.prefix else text
