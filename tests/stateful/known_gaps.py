"""Commands that the machine leaves out, because the engine's answers to them are known to be wrong.

Delete a line with its fault. After the last one, delete this file and `EngineMachine._foreseen`.
"""

from shared.domain.model.commands import Command
from shared.domain.model.order_commands import PayOrder, RedeemCoupons
from tests.stateful.basket import Returned
from tests.stateful.facts import Order
from tests.stateful.model import Model
from tests.stateful.placing import Version


def known_gap(model: Model, command: Command) -> bool:
    """Return whether the answer to a command is known to be wrong."""
    match command:
        case RedeemCoupons():
            return _is_gap_of_version(model, model.version(command))
        case PayOrder():
            return _has_lost_beside_returned(model, command.order_id) or _has_other_segments(model, command.order_id)
        case _:
            return False


def _is_gap_of_version(model: Model, version: Version) -> bool:
    order, meaning = model.orders.get(version.order_id), model.meaning(version)
    if order is None:
        return False
    is_older = order.last_version is not None and version.at < order.last_version
    return any(
        (
            # All of the order was returned in parts that are dated before it: it redeems its coupons.
            _is_returned_before_it_is_placed(version, order),
            # A request that adds to an order is dated before the last change, whose time it replaces.
            meaning == "change" and not version.command.complete and is_older,
            # A guest's order changes and names a lock of a customer: what it holds moves without entries.
            meaning == "change" and version.key is None and version.command.lock_reference is not None,
        )
    )


def _is_returned_before_it_is_placed(version: Version, order: Order) -> bool:
    if order.content is not None or order.is_closed or not order.parts:
        return False
    returned = Returned.of(order.parts, version.content, version.content.amount)
    is_refunded = any(part.refunded is not None for part in order.parts)
    return (returned.is_everything or is_refunded) and max(part.at for part in order.parts) < version.at


def _has_lost_beside_returned(model: Model, order_id: str) -> bool:
    """Return whether a payment judges what an order gave up, beside coupons of which a part was returned."""
    hold = model.locks.get(f"order:{order_id}")
    has_returned = any(use.discount < use.whole for use in model.uses_of(order_id).values())
    return hold is not None and bool(hold.lost) and has_returned


def _has_other_segments(model: Model, order_id: str) -> bool:
    """Return whether the order named other segments of its customer than are known now. Its row doesn't keep them, so
    the answer to a payment that judges what the order gave up depends on the batch.
    """
    order, hold = model.orders.get(order_id), model.locks.get(f"order:{order_id}")
    if order is None or hold is None or order.customer is None or order.customer.segments is None:
        return False
    return frozenset(order.customer.segments) != model.known_segments(hold.customer_key)
