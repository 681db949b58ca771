"""Measure large requests, up to the maximum of the schemas, and one that is refused for its size.

The decision is the pure function on a loaded state. Times are processor times.
"""

import statistics
import time
from typing import Any, Final

import orjson

from bench.decide import PLACED_AT
from schemas.campaigns import CampaignDefinition
from shared.domain.decide import decide
from shared.domain.model.coupon import Coupon, code_key
from shared.domain.model.customer import Customer
from shared.domain.model.order import Line, Order
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.state import State
from shared.domain.offers.work import MAX_WORK, work_of
from shared.ledger.definitions import to_domain

TURNS: Final = 7
CASES: Final = {
    "30_coupons_2000_lines_5_conditions": (30, 2_000, 5, False),
    "30_coupons_2000_lines_150_conditions": (30, 2_000, 5, True),
    "100_coupons_10000_lines": (100, 10_000, 0, False),
    "refused": (100, 10_000, 5, True),
}
"""Coupons, lines, conditions per coupon, and whether coupons differ in priority, lines and conditions."""

CEILINGS_MS: Final = {"30_coupons_2000_lines_5_conditions": 250.0, "refused": 50.0}

CONDITIONS: Final = (
    "order.lines.exists(line, line.quantity < {0} + 100)",
    "order.lines.all(line, line.unit_minor > {0} - 200)",
    "order.lines.filter(line, line.product_id == 'p1').size() > {0} - 200",
    "!order.lines.exists(line, line.collection_ids.exists(id, id == 'none-{0}'))",
    "order.metadata.tier == 'gold' && order.amount > {0}",
)


def order_of(lines: int) -> Order:
    """Return an order with this number of lines."""
    made = tuple(
        Line(
            line_id=str(n),
            product_id=f"p{n % 50}",
            quantity=1 + n % 3,
            unit_minor=500 + n * 7919 % 3_000,
            collection_ids=("summer",),
            metadata={"row": n},
        )
        for n in range(lines)
    )
    return Order(
        order_id="ORD456",
        currency="USD",
        amount_minor=sum(line.amount_minor for line in made),
        lines=made,
        shipping_minor=500,
        placed_at=PLACED_AT,
        metadata={"tier": "gold"},
    )


def state_of(coupons: int, conditions: int, differ: bool) -> State:
    """Return a state with this number of combinable coupons, each of a separate campaign."""
    state = State()
    for n in range(coupons):
        body = {
            "campaign_id": f"c{n}",
            "discount": {"kind": "percentage", "value": f"{1 + n % 4}"},
            "applies_to": {"excluded_product_ids": ["p7"]} if differ and n % 2 else {},
            "stacking": {"policy": "combinable", "priority": -n if differ else 0},
            "window": {"ends_at": "2038-01-19T03:14:08Z"},
            "limits": {"uses_per_coupon": 1},
            "eligibility": {
                "conditions": [
                    {"name": f"condition-{number}", "expression": text.format(n if differ else 0)}
                    for number, text in enumerate(CONDITIONS[:conditions])
                ]
            },
        }
        campaign = to_domain(CampaignDefinition.model_validate_json(orjson.dumps(body)), 1)
        coupon = Coupon(f"id-{n}", f"C{n}", campaign.campaign_id, uses_limit=1)
        state.campaigns[campaign.campaign_id] = campaign
        state.coupons[coupon.coupon_id] = coupon
        state.coupon_ids[code_key(coupon.code)] = coupon.coupon_id
    return state


def measure_work() -> dict[str, Any]:
    """Return the median milliseconds, the estimated share of MAX_WORK and the ceiling, for each case."""
    measured: dict[str, Any] = {}
    for name, (coupons, lines, conditions, differ) in CASES.items():
        state = state_of(coupons, conditions, differ)
        codes = tuple(coupon.code for coupon in state.coupons.values())
        command = RedeemCoupons("c", order_of(lines), codes, Customer("john"), at=PLACED_AT)
        verdict = decide(command, state, PLACED_AT)
        refused = {one.reason for one in verdict.refused} == {Reason.REQUEST_TOO_LARGE}
        if refused is not (name == "refused") or len(verdict.accepted) != (0 if refused else coupons):
            raise SystemExit(f"{name}: unexpected verdict, first refusal {verdict.refused[:1]}")
        times = []
        for _ in range(TURNS):
            started = time.process_time()
            decide(command, state, PLACED_AT)
            times.append(time.process_time() - started)
        measured[name] = {
            "ms": round(statistics.median(times) * 1e3, 1),
            "of_the_bound": round(work_of(command, state, PLACED_AT) / MAX_WORK, 3),
            "ceiling_ms": CEILINGS_MS.get(name),
        }
    return measured


def format_work(measured: dict[str, Any]) -> str:
    """Format the results, one line per case."""
    return "\n".join(
        f"work {name:<38} {case['ms']:>8.1f} ms" + (f" (at most {case['ceiling_ms']:g})" if case["ceiling_ms"] else "")
        for name, case in measured.items()
    )
