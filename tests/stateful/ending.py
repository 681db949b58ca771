"""The model's orders after they are placed: paid, not paid, cancelled, returned as a whole or in part."""

from datetime import datetime

from shared.domain.model.order_commands import CancelOrder, FailPayment, PayOrder, ReturnOrder
from tests.stateful.answers import NOTHING, Answer
from tests.stateful.basket import Basket, Part, Returned
from tests.stateful.changing import Changing
from tests.stateful.choosing import Candidate, Request
from tests.stateful.facts import Lock, Order, Use
from tests.stateful.placing import accepted_of, taken_off


class Ending(Changing):
    """Decides what the later events of an order do."""

    def _order(self, order_id: str) -> Order:
        """Return an order; the first event of an unknown one is recorded."""
        return self.orders.setdefault(order_id, Order("placed"))

    # Payments

    def _pay(self, command: PayOrder, at: datetime, now: datetime) -> Answer:
        phase, order = self.phase(command.order_id), self._order(command.order_id)
        is_earlier = order.last_closing is not None and at <= order.last_closing
        if is_earlier or order.is_closed:
            order.paid = order.paid if is_earlier else max(at, order.paid or at)
            return NOTHING
        if order.status != "paid":
            order.status, order.paid = "paid", at
        hold = self.locks.get(f"order:{command.order_id}")
        if hold is not None and phase in {"held", "released"}:
            return self._burn_hold(command, order, hold)
        if hold is not None and phase == "lapsed" and at < now:
            # It was paid in time: the tests' events are all dated before the ends of holds, which are after now.
            hold.lost, hold.uses = hold.lost | hold.uses, {}
            return self._burn_hold(command, order, hold)
        if hold is not None and phase == "lapsed":
            held = {**hold.uses, **hold.lost}
            lost = [code for code in held if (command.order_id, code) not in self.uses]
            if held and not lost:
                return NOTHING
            return Answer("refused", refused=tuple((code, "lock_expired") for code in lost or ("",)), kinds=frozenset())
        return NOTHING

    def _burn_hold(self, command: PayOrder, order: Order, hold: Lock) -> Answer:
        """Redeem what the order holds, and what it gave up and may still have."""
        order_id, held = command.order_id, hold.uses
        refused: dict[str, str] = {}
        more = self._judge_lost(order_id, order, hold, refused)
        for code, one in held.items():
            discount = one.discount or 0
            self.uses[order_id, code] = Use(
                hold.customer_key, discount, discount, one.since, one.parts, one.takes, one.subscription
            )
        hold.uses, hold.lost, hold.status = {}, {}, "burned"
        accepted = (*((code, one.discount) for code, one in held.items()), *more)
        new = {code for code, _ in accepted}
        kinds = {("burned", code) for code in new}
        if order.content is not None and order.parts:
            back = self._restore_earlier_parts(order_id, order.content, new, order.parts)
            kinds |= {("returned", code) for code in back}
        outcome = "redeemed" if accepted else "refused" if refused else "nothing"
        return Answer(outcome, accepted, tuple(refused.items()), kinds=frozenset(kinds))

    def _judge_lost(
        self, order_id: str, order: Order, hold: Lock, refused: dict[str, str]
    ) -> tuple[tuple[str, int | None], ...]:
        """Judge what the order gave up: as of the time it was held, with the limits as they are now."""
        lost = {code: one for code, one in hold.lost.items() if (order_id, code) not in self.uses}
        if not lost or order.content is None:
            return ()
        at = min((one.since for one in hold.lost.values() if one.since is not None), default=None)
        has = self.has(order_id)
        basket = Basket.of(order.content, [taken_off(one) for one in has.values()])
        request = Request(hold.customer_key, order_id, order.content, basket, at=at)
        request.segments = self.segments_for(order.customer, hold.customer_key)
        request.existing = [self.offer_of(code) for code in has]
        judged = {
            code: self.judged(code, request) if one.takes else self.of_subscription(self.coupons[code], request)
            for code, one in lost.items()
        }
        refused |= {code: one for code, one in judged.items() if isinstance(one, str)}
        taken = self.choose(request, [one for one in judged.values() if isinstance(one, Candidate)], refused)
        for used in taken:
            since = at if used.one.held is None else used.one.held.since
            self.take_out(used.one, order_id, "burned")
            self.uses[order_id, used.code] = Use(
                hold.customer_key, used.discount or 0, used.discount or 0, since, dict(used.parts or {}),
                takes=0 if used.one.free else 1,
                subscription=order.content.subscription if used.one.offer.recurring else None,
            )  # fmt: skip
        return accepted_of(taken)

    def _fail(self, command: FailPayment, at: datetime) -> Answer:
        """Release what the order holds, which it gets back if it is paid after all and there is room."""
        if self.phase(command.order_id) != "held":
            return NOTHING
        order = self.orders[command.order_id]
        if _is_earlier(order, at) or (order.changed is not None and at < order.changed):
            return NOTHING
        hold = self.locks[f"order:{command.order_id}"]
        uses = hold.uses
        hold.status, hold.uses, hold.lost = "released", {}, hold.lost | uses
        return Answer(
            "released", tuple((code, held.discount) for code, held in uses.items()),
            kinds=frozenset(("released", code) for code in uses),
        )  # fmt: skip

    # Closing

    def _cancel(self, command: CancelOrder, at: datetime) -> Answer:
        return self._end(command.order_id, "cancelled", at)

    def _return(self, command: ReturnOrder, at: datetime) -> Answer:
        if command.whole:
            return self._end(command.order_id, "returned", at)
        part = Part.of(command, at)
        return NOTHING if part is None else self._return_part(command.order_id, part)

    def _end(self, order_id: str, how: str, at: datetime) -> Answer:
        phase, order = self.phase(order_id), self._order(order_id)
        if _is_earlier(order, at):
            return NOTHING
        if phase in {how, "cancelled and returned"}:
            order.closed[how] = max(at, order.closed.get(how, at))
            return NOTHING
        return self._close(order_id, order, how, at)

    def _close(self, order_id: str, order: Order, how: str, at: datetime) -> Answer:
        order.status, order.closed[how] = how, max(at, order.closed.get(how, at))
        back = {
            code: use.discount for code, use in self.uses_of(order_id).items()
            if how in self.offer_of(code).restored_on
        }  # fmt: skip
        for code in back:
            del self.uses[order_id, code]
        released: list[tuple[str, int | None]] = []
        for lock in self.locks.values():
            if lock.holds and lock.order == order_id:
                released += [(code, held.discount) for code, held in lock.uses.items()]
                lock.status, lock.uses = "released", {}
        if own := self.locks.get(f"order:{order_id}"):
            own.lost = {}
        kinds = {("restored", code) for code in back} | {("released", code) for code, _ in released}
        if back:
            return Answer("restored", tuple(back.items()), kinds=frozenset(kinds))
        return Answer("released", tuple(released), kinds=frozenset(kinds)) if released else NOTHING

    # Returns in part

    def _return_part(self, order_id: str, part: Part) -> Answer:
        phase, order = self.phase(order_id), self._order(order_id)
        if part.return_id is not None and any(
            one.return_id == part.return_id and one.content != part.content for one in order.parts
        ):
            return Answer("refused", refused=(("", "order_mismatch"),), kinds=frozenset())
        last = order.last_closing
        is_after = order.is_closed and last is not None and part.at > last
        if any(one.key == part.key for one in order.parts) or (not is_after and self._is_over(order, phase, part)):
            return NOTHING
        order.parts.append(part)
        if is_after or order.content is None or phase in {"unknown", "recorded"}:
            return NOTHING  # the event that places the order, or places it again, may still arrive
        counting = [one for one in order.parts if not order.is_closed or last is None or one.at <= last]
        off = sum(discount for discount, _ in map(taken_off, self.has(order_id).values()))
        paid = max(order.content.amount - off, 0)
        after = Returned.of(counting, order.content, paid)
        if after.is_everything:
            return self._close(order_id, order, "returned", max(one.at for one in counting))
        before = Returned.of([one for one in counting if one is not part], order.content, paid)
        return self._restore_share(order_id, before, after)

    @staticmethod
    def _is_over(order: Order, phase: str, part: Part) -> bool:
        """Return whether a part is about an earlier order with this id, or all of this one is returned."""
        is_again = order.last_closing is not None and not order.is_closed
        if _is_earlier(order, part.at) or (is_again and part.at == order.placed):
            return True
        return phase in {"returned", "cancelled and returned"}

    def _restore_share(self, order_id: str, before: Returned, after: Returned) -> Answer:
        back: dict[str, int | None] = {}
        uses, had, left = self.uses_of(order_id), self.left_after(order_id, before), self.left_after(order_id, after)
        for code, use in uses.items():
            if code not in left:
                continue
            share = (use.discount if self.offer_of(code).rejudged else had[code]) - left[code]
            share = min(share, use.discount)
            if share > 0:
                use.discount -= share
                back[code] = share
        if not back:
            return NOTHING
        return Answer("restored", tuple(back.items()), kinds=frozenset(("returned", code) for code in back))


def _is_earlier(order: Order, at: datetime) -> bool:
    """Return whether an event is about an earlier order with this id: one that was placed before the event, or that
    was closed before this one was placed.
    """
    if order.placed is None or at >= order.placed:
        return False
    was_placed = order.first is not None and order.first <= at
    return was_placed or any(when <= order.placed for when in order.closed.values())
