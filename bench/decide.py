"""Measure a decision as a multiple of the time that pydantic takes to validate the same order's JSON.

The decision is the pure function on a loaded state: three coupons of campaigns with different rules on an order of
twenty lines, and one coupon of a typical campaign on an order of three. The JSON is the `data` of the order event, as
the services parse it. Both take turns in one process; only their ratio counts.
"""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

import orjson

from schemas.campaigns import CampaignDefinition
from schemas.orders import OrderPlaced
from schemas.parsing import parse
from shared.domain.decide import decide
from shared.domain.model.coupon import Coupon, code_key
from shared.domain.model.customer import Customer
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.state import Meter, State
from shared.ledger.definitions import to_domain
from shared.ledger.order_conversion import to_order

PLACED_AT: Final = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
TURNS: Final = 15
SECONDS_A_TURN: Final = 0.05

CASES: Final = {"20_lines_3_coupons": (20, 3), "3_lines_1_coupon": (3, 1)}
CEILINGS: Final = {"20_lines_3_coupons": 4.0, "3_lines_1_coupon": 2.0}
"""Maximum ratios that the project commits to."""

CAMPAIGNS: Final[tuple[dict[str, Any], ...]] = (
    {  # a typical campaign
        "campaign_id": "save10",
        "discount": {"kind": "percentage", "value": "10", "max_discount": "50.00"},
        "limits": {
            "uses_per_coupon": 1,
            "uses_per_customer": 1,
            "coupons_total": 100_000,
            "coupons_per_customer": 1,
        },
        "window": {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2027-01-01T00:00:00Z", "valid_for": "P30D"},
        "eligibility": {"min_order_amount": "20.00", "currency": "USD", "holder_only": True},
    },
    {
        "campaign_id": "shoes",
        "discount": {"kind": "fixed", "value": "5.00", "currency": "USD"},
        "applies_to": {"collection_ids": ["summer"], "excluded_product_ids": ["p3"]},
        "limits": {"uses_per_coupon": 5},
    },
    {
        "campaign_id": "quarter",
        "discount": {"kind": "percentage", "value": "25"},
        "applies_to": {"product_ids": ["p1", "p4", "p7"]},
        "limits": {"uses_per_coupon": 1, "uses_total": 1_000},
        "eligibility": {"currency": "USD"},
    },
)


def order_event(lines: int, coupons: int) -> bytes:
    """Return the JSON of an order with this number of lines and coupons."""
    return orjson.dumps(
        {
            "order_id": "ORD456",
            "customer": {"customer_id": "john", "email": "john.smith@email.com", "mobile": "+919999988886"},
            "placed_at": PLACED_AT,
            "currency": "USD",
            "amount": f"{lines * 2 * 12.5:.2f}",
            "shipping_amount": "5.00",
            "lines": [
                {
                    "line_id": str(number),
                    "product_id": f"p{number}",
                    "variant_id": f"v{number}",
                    "collection_ids": ["summer"] if number % 2 else [],
                    "quantity": 2,
                    "unit_price": "12.50",
                }
                for number in range(lines)
            ],
            "coupon_codes": [campaign["campaign_id"].upper() for campaign in CAMPAIGNS[:coupons]],
            "lock_reference": None,
            "atomic": False,
            "channel": "web",
            "metadata": {"source": "app"},
        }
    )


def state_of(coupons: int) -> State:
    """Return a state with the first `coupons` campaigns and an unused coupon of each."""
    state = State()
    for body in CAMPAIGNS[:coupons]:
        common = {"stacking": {"policy": "combinable"}, "window": {"ends_at": "2038-01-19T03:14:08Z"}}
        campaign = to_domain(CampaignDefinition.model_validate_json(orjson.dumps(common | body)), 1)
        code = campaign.campaign_id.upper()
        coupon = Coupon(f"id-{code}", code, campaign.campaign_id, holder_key="john", uses_limit=1)
        state.campaigns[campaign.campaign_id] = campaign
        state.coupons[coupon.coupon_id] = coupon
        state.coupon_ids[code_key(code)] = coupon.coupon_id
        state.meters |= {(campaign.campaign_id, None): Meter(), (campaign.campaign_id, "john"): Meter()}
    return state


def turn(work: Callable[[], object]) -> float:
    """Return the processor time per call, in seconds. Other processes on the machine don't affect it."""
    calls, started = 0, time.process_time()
    while (passed := time.process_time() - started) < SECONDS_A_TURN:
        for _ in range(50):
            work()
        calls += 50
    return passed / calls


def measure_decisions() -> dict[str, Any]:
    """Return the median microseconds of both and their ratio, for each case."""
    results: dict[str, Any] = {}
    for name, (lines, coupons) in CASES.items():
        body, state = order_event(lines, coupons), state_of(coupons)
        data = parse(OrderPlaced, body)
        command = RedeemCoupons(
            "c", to_order(data, data.order_id), data.coupon_codes or (), Customer("john"), at=PLACED_AT
        )
        state.customers["c"] = "john"
        verdict = decide(command, state, PLACED_AT)
        if len(verdict.accepted) != coupons:
            raise SystemExit(f"{name}: some coupons were refused: {verdict.refused}")
        turns = [
            (turn(lambda: decide(command, state, PLACED_AT)), turn(lambda: OrderPlaced.model_validate_json(body)))  # noqa: B023
            for _ in range(TURNS)
        ]
        decided, validated = (statistics.median(times) for times in zip(*turns, strict=True))
        results[name] = {
            "decide_us": round(decided * 1e6, 2),
            "validate_us": round(validated * 1e6, 2),
            "ratio": round(statistics.median([one / other for one, other in turns]), 2),
            "ceiling": CEILINGS[name],
        }
    return results


def format_decisions(results: dict[str, Any]) -> str:
    """Format the results, one line per case."""
    return "\n".join(
        chain(
            f"decide {name:<20} {case['decide_us']:>7.2f} µs   validate {case['validate_us']:>7.2f} µs   "
            f"{case['ratio']:.2f} times (at most {case['ceiling']:g})"
            for name, case in results.items()
        )
    )
