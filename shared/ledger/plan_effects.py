"""Describe the effects of changing a live campaign: a sentence per field, with the ledger's numbers. Pure.

The table in `docs/campaign-files.md` has the same rules per field; `tests/integration/test_live_changes.py` tests them
on a ledger.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from schemas.campaigns import CampaignDefinition
from shared.domain.model.campaign import Window
from shared.domain.model.coupon import code_key
from shared.domain.model.money import format_for_message, parse_minor
from shared.ledger.definitions import to_domain


@dataclass(frozen=True, slots=True)
class Live:
    """The ledger's numbers for a campaign. `now` is the database's time, UTC; the rest are coupons, customers, uses.

    coupons: issued and not voided. Among them, `own_end` have an end of their own, `revived` are used up under the old
    limit but not under the new one, and `full` are at or beyond the new one; `pooled` ones wait to be issued. issued,
    held, used, spent_minor: the campaign's totals, money in its own currency. Customers: `use_again` and `get_again`
    (coupons) are at the old limit but below the new one; `use_no_more` and `get_no_more` are at or beyond the new one.
    """

    now: datetime
    coupons: int = 0
    pooled: int = 0
    own_end: int = 0
    revived: int = 0
    full: int = 0
    issued: int = 0
    held: int = 0
    used: int = 0
    spent_minor: int = 0
    use_again: int = 0
    use_no_more: int = 0
    get_again: int = 0
    get_no_more: int = 0


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of changing `field`, in full sentences."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class _Case:
    before: CampaignDefinition
    after: CampaignDefinition
    live: Live


def effects(
    before: CampaignDefinition, after: CampaignDefinition, fields: Sequence[str], live: Live
) -> Iterator[Effect]:
    """Yield one effect for each of `fields`, dotted names. Fields without a rule use their section's."""
    case = _Case(before, after, live)
    for field in fields:
        rule = _RULES.get(field) or _RULES.get(field.partition(".")[0])
        yield Effect(field, _FROM_NOW_ON if rule is None else rule if isinstance(rule, str) else rule(case))


def _uses_per_coupon(case: _Case) -> str:
    if _raised(case.before.limits.uses_per_coupon, case.after.limits.uses_per_coupon):
        return f"{_n(case.live.revived, 'used-up coupon')} can be used again."
    return (
        f"{_n(case.live.full, 'coupon')} {_is(case.live.full)} at or beyond the new limit: no new use of "
        f"{_them(case.live.full)}. What was used stays used; what is held can still be burned."
    )


def _uses_total(case: _Case) -> str:
    limit, taken = case.after.limits.uses_total, case.live.used + case.live.held
    counted = f"{case.live.used:,} used, {case.live.held:,} held"
    if limit is None:
        return f"{counted}; no limit any more."
    if taken >= limit:
        return f"{counted}: no new use. What was used stays used; what is held can still be burned."
    return f"{counted}: {limit - taken:,} left."


def _uses_per_customer(case: _Case) -> str:
    if _raised(case.before.limits.uses_per_customer, case.after.limits.uses_per_customer):
        return f"{_n(case.live.use_again, 'customer')} who had no use left can use coupons again."
    number = case.live.use_no_more
    return (
        f"{_n(number, 'customer')} {_is(number)} at or beyond the new limit: no new use for {_them(number, 'them')}. "
        "What was used stays used; what is held can still be burned. Orders without a customer are refused."
    )


def _coupons_total(case: _Case) -> str:
    limit, issued = case.after.limits.coupons_total, f"{case.live.issued:,} issued"
    if limit is None:
        return f"{issued}; no limit any more."
    if case.live.issued >= limit:
        return f"{issued}: no further coupon. Those that are issued stay valid."
    return f"{issued}: {limit - case.live.issued:,} left."


def _coupons_per_customer(case: _Case) -> str:
    if _raised(case.before.limits.coupons_per_customer, case.after.limits.coupons_per_customer):
        return f"{_n(case.live.get_again, 'customer')} who had no coupon left to get can get one again."
    number = case.live.get_no_more
    get = "gets" if number == 1 else "get"
    return f"{_n(number, 'customer')} {get} no further coupon; those that are issued stay valid."


def _spend_total(case: _Case) -> str:
    limit, currency = case.after.limits.spend_total, case.after.discount.currency or case.after.eligibility.currency
    spent = f"{format_for_message(case.live.spent_minor, currency)} {currency or ''}".strip() + " used or held"
    if limit is None or currency is None:
        return f"{spent}; no limit any more."
    left = parse_minor(limit, currency) - case.live.spent_minor
    if left <= 0:
        return f"{spent}: no new use. What was used stays used; what is held can still be burned."
    return f"{spent}: {format_for_message(left, currency)} {currency} left."


def _starts_at(case: _Case) -> str:
    start = _window(case.after).starts_at
    if start is None:
        return "The campaign has always been running."
    verb = "is" if start <= case.live.now else "isn't yet"
    return (
        f"From {_moment(start)} on, so it {verb} running. Orders placed earlier are refused, even with "
        f"{_out(case)}; what was used stays used."
    )


def _ends_at(case: _Case) -> str:
    end, live = _window(case.after).ends_at, case.live
    own = f"; {live.own_end:,} of them also {_has(live.own_end)} an end of their own" if live.own_end else ""
    if end is None:
        first = (
            f"The campaign has no end any more, nor {_has(live.coupons)} {_out(case)}{own and own + ', which stays'}"
        )
    else:
        ended = ", which is over" if end <= live.now else ""
        first = f"It ends {_moment(end)}{ended}, and with it {_out(case)}{own and own + ', and the earlier counts'}"
    return f"{first}. What was used stays used; what is held can still be burned."


def _time_zone(case: _Case) -> str:
    before, after = _window(case.before), _window(case.after)
    caps = " Caps use it from now on, and earlier uses are counted in it as well." if case.after.limits.caps else ""
    if (before.starts_at, before.ends_at) == (after.starts_at, after.ends_at):
        return f"Start and end stay where they are: only dates without a time are read in it.{caps}"
    return f"Dates without a time begin in it: from {_moment(after.starts_at)} to {_moment(after.ends_at)}.{caps}"


def _valid_for(case: _Case) -> str:
    return f"Only for coupons issued from now on; {_out(case)} keep what they have."


def _status(case: _Case) -> str:
    if case.after.status == "active":
        return f"Coupons are issued again, and {_out(case)} can be used again."
    events = "" if case.after.status == "paused" else " Events that would issue one pass by without a refusal."
    return (
        f"No coupon is issued, and {_out(case)} can't be used until it is active again.{events} What was used stays "
        "used and can be returned; what is held can still be burned."
    )


def _pattern(case: _Case) -> str:
    return f"Only codes made from now on; {_out(case)} keep theirs."


def _shared_code(case: _Case) -> str:
    old, new = case.before.code.shared_code, case.after.code.shared_code
    if old is not None and new is not None and code_key(old) == code_key(new):
        return "The same code: case, blanks, dashes and invisible characters don't count. It stays written as it was."
    made = "New coupons get codes of their own" if new is None else f"{new} is a further code, with uses of its own"
    if old is None:
        return f"{made}; {_out(case)} stay valid."
    return f"{made}; {old} stays valid until it is voided (`couponry coupons void`)."


def _source(case: _Case) -> str:
    waiting = f" {_n(case.live.pooled, 'code')} of its pool wait." if case.live.pooled else ""
    return f"Only for coupons issued from now on.{waiting}"


_FROM_NOW_ON: Final = "From now on; what was used stays used, with its discount."
_REDEEMING: Final = (
    "For every use from now on, including coupons that are already issued. What was used, and what an unpaid order "
    "holds, keeps its discount."
)
_CAPS: Final = (
    "What was used and issued in a period counts in it, even before the change: if it has reached a cap, nothing new "
    "until the next period. What was used stays used; what is held can still be burned."
)
_WORDS: Final = "Words only: nothing changes for any coupon."

_RULES: Final[dict[str, str | Callable[[_Case], str]]] = {
    "name": _WORDS,
    "category": _WORDS,
    "group": _WORDS,
    "description": _WORDS,
    "metadata": _WORDS,
    "status": _status,
    "discount": _REDEEMING,
    "applies_to": _REDEEMING,
    "eligibility": _REDEEMING,
    "stacking": _REDEEMING,
    "code": _pattern,
    "code.shared_code": _shared_code,
    "limits.uses_per_coupon": _uses_per_coupon,
    "limits.uses_total": _uses_total,
    "limits.uses_per_customer": _uses_per_customer,
    "limits.coupons_total": _coupons_total,
    "limits.coupons_per_customer": _coupons_per_customer,
    "limits.spend_total": _spend_total,
    "limits.caps": _CAPS,
    "window.starts_at": _starts_at,
    "window.ends_at": _ends_at,
    "window.time_zone": _time_zone,
    "window.valid_for": _valid_for,
    "window.until": _valid_for,
    "window.remind_days": "Also for issued coupons that haven't ended. What was announced is announced once.",
    "issues_on": "For events handled from now on; nothing is issued afterwards for earlier ones.",
    "source": _source,
    "restore_on": "For orders cancelled or returned from now on, whenever their coupons were used.",
    "on_return": "For parts that are returned from now on. Of earlier parts, what they restored stays restored.",
    "restore_days": "For uses that are restored from now on.",
}


def _window(definition: CampaignDefinition) -> Window:
    return to_domain(definition, 0).window


def _raised(before: int | None, after: int | None) -> bool:
    """Return whether the new limit is higher; None means no limit."""
    return after is None or (before is not None and after > before)


def _moment(value: datetime | None) -> str:
    return "ever" if value is None else f"{value:%Y-%m-%d %H:%M} UTC"


def _n(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _out(case: _Case) -> str:
    return f"{_n(case.live.coupons, 'issued coupon')}"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _has(number: int) -> str:
    return "has" if number == 1 else "have"


def _them(number: int, one: str = "it") -> str:
    return one if number == 1 else "them"
