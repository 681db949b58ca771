"""Print a coupon's history."""

from collections.abc import Iterator
from typing import Protocol

from cli.output import count, day, moment, money, say, show_facts, show_json, show_table
from shared.ledger.queries import CouponDetails, CouponHistory, HistoryEntry

ID_SHOWN = 16


def show_history(history: CouponHistory, as_json: bool) -> None:
    """Print a coupon, its locks, and everything that happened to its code."""
    if as_json:
        show_json(history)
        return
    if history.coupon is None:
        say(f"There is no coupon {history.code!r}, but requests named that code:")
    else:
        show_facts(_facts(history.coupon))
    for coupon in history.earlier:
        say(f"An earlier coupon had the code, of campaign {coupon.campaign_id}: {count(coupon.used_uses, 'use')}.")
    if history.holds:
        show_table(
            ("held by lock", "uses", "for order", "until (UTC)"),
            [(hold.lock_reference, hold.uses, order_cell(hold), moment(hold.expires_at)) for hold in history.holds],
            right=("uses",),
        )
    several = len({one.campaign_id for one in history.happenings} - {None}) > 1
    show_table(
        ("when (UTC)", "what", "order", *(["campaign"] if several else []), "requested by"),
        [
            (
                moment(one.at),
                _description(one),
                order_cell(one),
                *([one.campaign_id] if several else []),
                short_id(one.command_id),
            )
            for one in history.happenings
        ],
        whole=("when (UTC)",),
    )
    if history.cut:
        say(f"Only the first {len(history.happenings):,} are shown.")


def _facts(coupon: CouponDetails) -> Iterator[tuple[str, object]]:
    limit = "without limit" if coupon.uses_limit is None else f"of {coupon.uses_limit:,}"
    yield "code", f"{coupon.code} (freed: a later campaign can use it)" if coupon.code_freed else coupon.code
    yield (
        "campaign",
        coupon.campaign_id if not coupon.campaign_name else f"{coupon.campaign_id} ({coupon.campaign_name})",
    )
    if coupon.campaign_status not in (None, "active"):
        yield "campaign is", coupon.campaign_status
    yield "status", coupon.status
    yield "uses", f"{coupon.used_uses:,} {limit}, {coupon.held_uses:,} held"
    yield "holder", ", ".join(coupon.holder) or "none"
    if coupon.starts_at is not None or coupon.ends_at is not None:
        yield "valid from", f"{day(coupon.starts_at) or 'ever'} to {day(coupon.ends_at) or 'ever'}"
    yield "issued for", coupon.occasion
    yield "coupon id", coupon.coupon_id


class NamesOrder(Protocol):
    """What has an order's id and its shop's."""

    @property
    def order_id(self) -> str | None: ...
    @property
    def shop_id(self) -> str | None: ...


def order_cell(names: NamesOrder) -> str | None:
    """Return an order as a cell of a table."""
    return names.order_id if names.shop_id is None else f"{names.order_id} of shop {names.shop_id}"


def short_id(command_id: str) -> str:
    """Return a command's source and the beginning of its id; `--json` has the whole id."""
    source, blank, name = command_id.partition(" ")
    return f"{source}{blank}{name}" if len(name) <= ID_SHOWN else f"{source}{blank}{name[: ID_SHOWN - 1]}…"


def _description(entry: HistoryEntry) -> str:
    if entry.kind in ("refused", "unchanged"):
        return f"{entry.kind}, {entry.reason}: {entry.message}"
    if entry.kind == "extended":
        return _with_reason(
            f"extended: {f'ends {moment(entry.ends_at)}' if entry.ends_at else 'no end of its own'}", entry
        )
    if entry.kind in ("voided", "unvoided"):
        return _with_reason(entry.kind, entry)
    parts = [entry.kind]
    if entry.kind in ("burned", "adjusted", "returned", "restored", "moved"):
        minor = entry.used_minor or (entry.held_minor if entry.kind in ("adjusted", "moved") else 0)
        parts.append(money(minor, entry.currency) or count(entry.used_uses, "use"))
    elif entry.kind in ("locked", "released"):
        parts.append(money(entry.held_minor, entry.currency) or count(entry.held_uses, "use"))
    elif entry.kind == "adjusted":
        parts.append(money(entry.used_minor or entry.held_minor, entry.currency) or "no difference")
    if entry.lock_reference is not None:
        parts.append(entry.lock_reference)
    return ", ".join(parts)


def _with_reason(text: str, entry: HistoryEntry) -> str:
    return text if entry.message is None else f"{text} ({entry.message})"
