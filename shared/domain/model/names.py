"""What a command names: it is loaded and locked before the command is decided."""

from shared.domain.model.ids import OrderKey


class Names:
    """Everything in the ledger that a command names. It is loaded and locked before the command is decided.

    By default a command names nothing. A command class overrides the properties of what it names.
    """

    __slots__ = ()

    @property
    def named_codes(self) -> tuple[str, ...]:
        """Return the codes of coupons that must exist. The gateway counts unknown ones as guesses."""
        return ()

    @property
    def named_lock(self) -> str | None:
        """Return the reference of the command's lock. The gateway counts an unknown one as a guess."""
        return None

    @property
    def named_order(self) -> OrderKey | None:
        """Return the key of the order that the command changes or is bound to."""
        return None


class NamesOrder(Names):
    """A command that only names the order with its `order_id`."""

    __slots__ = ()

    order_id: OrderKey

    @property
    def named_order(self) -> OrderKey:
        """Return the key of the order."""
        return self.order_id
