"""The model's orders that change: their coupons are judged again on what the order is now."""

from dataclasses import dataclass, field, replace

from tests.stateful.answers import Answer
from tests.stateful.basket import Part, Returned
from tests.stateful.choosing import Candidate, Request, Taken, first_of, of_order
from tests.stateful.facts import Held, Lock, Order, Use
from tests.stateful.placing import Placing, Version, accepted_of, all_or_nothing, owner


@dataclass
class Outcome:
    """What a change did to the coupons that the order had."""

    kept: dict[str, tuple[int, int]] = field(default_factory=dict)
    """code → (discount, discount before)"""
    held: dict[str, Held] = field(default_factory=dict)
    kinds: set[tuple[str, str]] = field(default_factory=set)
    again: list[Taken] = field(default_factory=list)
    """redeemed again, because a part of the closed order was returned"""


class Changing(Placing):
    """Decides what changing an order does."""

    def _change(self, version: Version, order: Order, *, again: bool) -> Answer:
        """Judge the coupons that an order has, and those that it names. `again`: it was closed, and is placed again."""
        command, order_id = version.command, version.order_id
        request, hold, has = self.request_of(version, beside=False), self.hold_of(order_id), self.has(order_id)
        named = dict.fromkeys(version.codes)
        if not command.complete:
            named |= dict.fromkeys(has)
        elif self.is_burned_by(version):  # it still names what came from that lock
            named |= dict.fromkeys(code for code in has if code not in order.codes)
        lock = self.locks.get(command.lock_reference or "")
        from_lock = lock.uses if lock is not None and lock.status == "open" else {}
        outcome = Outcome()
        for code in () if again else has.keys() - named.keys() - from_lock.keys():
            self._give_up(order_id, code, outcome)  # makes room for the others
        judged: dict[str, Candidate | str] = {}
        for code in named:
            if code in has:
                judged[code] = self._judge_kept(request, code, has[code], hold)
            else:
                judged[code] = self.continuing(code, request) or self.judged(code, request)
        self.add_promised(version, request, judged, has, again=False)
        refused = {code: one for code, one in judged.items() if isinstance(one, str)}
        taken = self.choose(request, [one for one in judged.values() if isinstance(one, Candidate)], refused)
        taken = all_or_nothing(version, taken, refused)
        parts, holds = self.parts_of(version, order, again=again), command.hold and not order.is_paid
        paid = version.content.amount - sum(used.discount or 0 for used in taken)
        is_returned = bool(parts) and Returned.of(parts, version.content, paid).is_everything
        if is_returned and holds:  # nothing is held for a returned order
            refused |= {used.code: "order_mismatch" for used in taken if used.code not in has}
            taken = [used for used in taken if (order_id, used.code) in self.uses]
        self._settle(version, request, {code: _used(taken, code) for code in has}, outcome, again=again)
        new = [used for used in taken if used.code not in has]
        key = owner(request, new[0]) if holds and new else request.customer_key
        self._use_new(version, request, new, outcome, holds=holds)
        self._settle_hold(version, key, outcome)
        self._restore_missing(version, parts, outcome)
        self._record_change(version, order, key, parts, again=again)
        if is_returned:
            self._restore_returned(version, order, parts, outcome)
        return _answer(new, refused, outcome, holds=holds)

    def _settle(
        self, version: Version, request: Request, has: dict[str, Taken | None], outcome: Outcome, *, again: bool
    ) -> None:
        """Give the coupons that the order has their discounts on the changed order, or give them up."""
        for code, used in has.items():
            use = self.uses.get((version.order_id, code))
            if use is not None and again and used is None:
                self._keep_without_discount(code, use, outcome)
            elif use is not None and again and used is not None and use.discount != use.whole:
                self._use_again(version, use, used, outcome)
            elif used is not None:
                self._keep(version, request, used, outcome)
            elif self._has_still(version.order_id, code):
                self._give_up(version.order_id, code, outcome)

    def _keep_without_discount(self, code: str, use: Use, outcome: Outcome) -> None:
        """Keep a use that closing the order didn't restore, although it takes nothing off the order placed again."""
        if not use.discount:
            return
        outcome.kinds.add(("adjusted", code))
        outcome.kept[code] = (0, use.discount)
        use.whole, use.discount, use.parts = use.whole - use.discount, 0, {}

    def _use_again(self, version: Version, use: Use, used: Taken, outcome: Outcome) -> None:
        """Redeem a coupon again on the order placed again, because a part of the closed order was returned."""
        discount = used.discount or 0
        self.uses[version.order_id, used.code] = replace(
            use, discount=discount, whole=discount, parts=dict(used.parts or {}),
            subscription=version.content.subscription if used.one.offer.recurring else None,
        )  # fmt: skip
        outcome.kinds |= {("restored", used.code), ("burned", used.code)}
        outcome.again.append(used)

    def _record_change(
        self, version: Version, order: Order, key: str | None, parts: list[Part], *, again: bool
    ) -> None:
        """Record the order as it is now."""
        if version.command.hold:
            order.customer = version.command.customer or order.customer
        if again:
            self.place(version, order, key, parts, again=True)
            return
        order.place(version.placed)
        order.changed = max(version.at, order.changed or version.at)
        order.content, order.customer_key = version.content, key or order.customer_key
        order.codes = set(version.codes) if version.command.complete else order.codes | set(version.codes)

    def _restore_returned(self, version: Version, order: Order, parts: list[Part], outcome: Outcome) -> None:
        """Close an order of which all was returned before it changed."""
        order.status, order.closed["returned"] = "returned", max(part.at for part in parts)
        for code in self.uses_of(version.order_id):
            if "returned" in self.offer_of(code).restored_on:
                del self.uses[version.order_id, code]
                outcome.kinds.add(("restored", code))

    def _has_still(self, order_id: str, code: str) -> bool:
        hold = self.hold_of(order_id)
        return (order_id, code) in self.uses or (hold is not None and code in hold.uses)

    def _judge_kept(self, request: Request, code: str, has: Use | Held, hold: Lock | None) -> Candidate | str:
        """Judge a coupon that the order has by the rules of orders."""
        coupon, offer = self.coupons[code], self.offer_of(code)
        if reason := first_of(of_order(offer, request)):
            return reason
        if isinstance(has, Use):
            return Candidate(coupon, offer, promised=True, kept=has)
        return Candidate(coupon, offer, lock=hold, promised=True, free=not has.takes)

    def _give_up(self, order_id: str, code: str, outcome: Outcome) -> None:
        """Restore or release a coupon."""
        if self.uses.pop((order_id, code), None) is not None:
            outcome.kinds.add(("restored", code))
            return
        hold = self.locks[f"order:{order_id}"]
        hold.uses = {other: held for other, held in hold.uses.items() if other != code}
        outcome.kinds.add(("released", code))

    def _keep(self, version: Version, request: Request, used: Taken, outcome: Outcome) -> None:
        """Give a coupon its discount on the changed order. Returned parts stay returned."""
        code, now, parts = used.code, used.discount or 0, used.parts or {}
        use = self.uses.get((version.order_id, code))
        if use is None:
            hold = self.locks[f"order:{version.order_id}"]
            held = hold.uses[code]
            before = held.discount or 0
            outcome.held[code] = Held(now, held.since, parts, held.takes, held.subscription)
            outcome.kept[code] = (now, before)
            if request.customer_key is not None and not self.same(hold.customer_key, request.customer_key):
                outcome.kinds |= {("released", code), ("locked", code)}
            elif now != before:
                outcome.kinds.add(("adjusted", code))
            return
        before, difference = use.discount, max(now - use.whole, -use.discount)
        if difference or parts != use.parts:
            outcome.kinds.add(("adjusted", code))
        use.discount, use.whole, use.parts = before + difference, use.whole + difference, dict(parts)
        outcome.kept[code] = (use.discount, before)

    def _use_new(self, version: Version, request: Request, new: list[Taken], outcome: Outcome, *, holds: bool) -> None:
        for used in new:
            if holds and used.one.lock is not None:
                outcome.kinds.add(("released", used.code))
            outcome.kinds.add(("locked" if holds else "burned", used.code))
        if holds:
            outcome.held |= self.held_now(version, request, new)
        else:
            self._burn(version, request, new)

    def _settle_hold(self, version: Version, key: str | None, outcome: Outcome) -> None:
        """Let the order's own lock hold what the changed order holds."""
        reference = f"order:{version.order_id}"
        before = self.locks.get(reference)
        if outcome.held:
            is_expired = before is not None and before.is_expired and not version.command.hold
            self.locks[reference] = Lock("open", key, version.order_id, outcome.held, is_expired)
        elif before is not None and (before.holds or before.lost):
            before.status = "released" if before.status == "open" else before.status
            before.uses, before.lost = {}, {}

    def _restore_missing(self, version: Version, parts: list[Part], outcome: Outcome) -> None:
        """Restore what is missing of the shares of the parts that were returned before the order changed."""
        if not parts:
            return
        uses = self.uses_of(version.order_id)
        off = sum(use.whole for use in uses.values()) + sum(held.discount or 0 for held in outcome.held.values())
        returned = Returned.of(parts, version.content, max(version.content.amount - off, 0))
        for code, left in self.left_after(version.order_id, returned).items():
            use = uses[code]
            missing = min(use.discount - left, use.discount)
            if missing > 0:
                use.discount -= missing
                outcome.kinds.add(("returned", code))
                if code in outcome.kept:
                    outcome.kept[code] = (use.discount, outcome.kept[code][1])


def _used(taken: list[Taken], code: str) -> Taken | None:
    return next((used for used in taken if used.code == code), None)


def _answer(new: list[Taken], refused: dict[str, str], outcome: Outcome, *, holds: bool) -> Answer:
    accepted = accepted_of([*outcome.again, *new])
    if accepted:
        how = "held" if holds else "redeemed"
    elif outcome.kinds or outcome.kept:
        how = "adjusted"
    else:
        how = "refused" if refused else "nothing"
    kept = tuple((code, now, before) for code, (now, before) in outcome.kept.items())
    return Answer(how, accepted, tuple(refused.items()), kept, kinds=frozenset(outcome.kinds))
