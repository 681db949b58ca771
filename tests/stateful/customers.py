"""The model's customers: which identifiers are one customer, and the segments of each."""

from shared.domain.model.customer import Customer


class Customers:
    """Customers by identifier. Any identifier of a customer finds the key of all of them."""

    def __init__(self) -> None:
        self._same: dict[str, str] = {}
        self._segments: dict[str, frozenset[str]] = {}

    def merge_names(self, customer: Customer | None) -> None:
        """Make all identifiers of a customer belong to one customer from now on, who is in the segments of each."""
        names = names_of(customer)
        for name in names:
            self._same.setdefault(name, name)
        for name in names[1:]:
            one, other = self._root(names[0]), self._root(name)
            if one != other:
                self._same[other] = one
                self._segments[one] = self.known_segments(one) | self._segments.pop(other, frozenset())

    def customer_key(self, name: str | None) -> str | None:
        return None if name is None else self._root(name)

    def _root(self, name: str) -> str:
        while self._same[name] != name:
            name = self._same[name]
        return name

    def key_of(self, customer: Customer | None) -> str | None:
        names = names_of(customer)
        return self.customer_key(names[0]) if names else None

    def same(self, one: str | None, other: str | None) -> bool:
        return one is not None and other is not None and self.customer_key(one) == self.customer_key(other)

    def known_segments(self, key: str | None) -> frozenset[str]:
        return frozenset() if key is None else self._segments.get(self._root(key), frozenset())

    def segments_for(self, customer: Customer | None, key: str | None) -> frozenset[str]:
        """Return the segments that a request is judged by: those that it names, else the known ones of `key`."""
        if customer is not None and customer.segments is not None:
            return frozenset(customer.segments)
        return self.known_segments(key)

    def report_segments(self, customer: Customer | None) -> None:
        """Record the segments that a command names; they replace the known ones."""
        key = self.key_of(customer)
        if customer is not None and key is not None and customer.segments is not None:
            self._segments[key] = frozenset(customer.segments)


def names_of(customer: Customer | None) -> list[str]:
    """Return the identifiers of a customer: each with its kind, in the form in which they are compared."""
    if customer is None:
        return []
    named = (("id", customer.customer_id), ("email", customer.email and customer.email.strip().lower()))
    return [f"{kind} {name}" for kind, name in named if name]
