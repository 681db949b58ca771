"""What of an answer is compared with the model's."""

from dataclasses import dataclass, field

from tests.stateful.facts import Movement

Kinds = frozenset[tuple[str, str]]
"""(kind of a ledger entry, code)"""


@dataclass(frozen=True)
class Answer:
    """The compared part of an answer: the outcome, the accepted (code, discount), the refused (code, reason).

    `kept` are the coupons that a changed order keeps: (code, discount, discount before). `moved` are the sums of the
    entries by coupon and customer. `kinds` are those of the entries; None: the model doesn't say.
    """

    outcome: str
    accepted: tuple[tuple[str, int | None], ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    kept: tuple[tuple[str, int, int], ...] = ()
    moved: dict[tuple[str, str | None], Movement] = field(default_factory=dict)
    kinds: Kinds | None = None


NOTHING = Answer("nothing", kinds=frozenset())
"""The answer if nothing changed and nothing was refused."""
