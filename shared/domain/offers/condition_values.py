"""What the conditions of campaigns may look at: one order, customer and moment, as plain JSON-like values."""

from collections.abc import Mapping
from typing import Any


class Values(dict[str, Any]):
    """The values by variable. `prepared` is for those who evaluate: what they keep for all conditions on these values.

    The values don't change as long as anything is kept.
    """

    __slots__ = ("prepared",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.prepared: dict[object, Any] = {}
