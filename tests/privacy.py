"""A customer with rows in every table, and a search of the whole database for their names."""

import json
from typing import Any

import orjson

from shared.domain.model.commands import Cause, IssueCoupons, LockCoupons, RecordCustomer
from shared.domain.model.customer import Customer, identifiers
from shared.domain.model.ids import referral_occasion
from shared.domain.model.order_commands import CancelOrder, PayOrder, ReturnOrder
from shared.domain.model.verdicts import Verdict
from shared.ledger import erasing
from shared.ledger.database import Pool, open_pool
from shared.ledger.engine import Engine
from tests.ledger import PLACED_AT, definition, redeem

ANN = Customer("ann_smith_77", "Ann.Smith@Example.com", "+4930123456")
ANN_ELSEWHERE = Customer("webshop-ann-smith", None, "+49 30 1234567")
BOTH = Customer("ann_smith_77", None, "+49 30 1234567")
BOB = Customer("bob_jones_88", "bob@example.com")
NAMES = ("ann_smith_77", "ann.smith@example.com", "+4930123456", "webshop-ann-smith", "+49301234567", "30 1234567")
ANN_IDENTIFIERS = identifiers(ANN)

LIMITED = definition(
    "limited",
    code={"shared_code": "LIMITED"},
    limits={
        "uses_per_coupon": None, "uses_per_customer": 2, "uses_total": 100,
        "caps": [{"per": "month", "each": "customer", "uses": 2}, {"per": "coupon", "each": "customer", "uses": 90}],
    },
)  # fmt: skip


async def values_by_column(database_url: str) -> dict[str, str]:
    """Return the text of every column of every table, by `table.column`, in lower case."""
    found = {}
    async with await open_pool(database_url, role=None, max_size=1) as pool:
        columns = await pool.fetch(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'couponry' AND table_name NOT LIKE '%yoyo%'"
        )
        for table, column, kind in columns:
            shown = f"encode({column}, 'escape')" if kind == "bytea" else f"{column}::text"
            text = await pool.fetchval(f"SELECT string_agg({shown}, E'\\n') FROM {table}")
            found[f"{table}.{column}"] = (text or "").lower()
    return found


async def named_in(database_url: str, names: tuple[str, ...] = NAMES) -> dict[str, list[str]]:
    """Return the columns that contain any of `names`."""
    texts = await values_by_column(database_url)
    return {
        place: hits for place, text in texts.items() if (hits := [name for name in names if name.lower() in text])
    }  # fmt: skip


async def issue_coupon(engine: Engine, number: int, customer: Customer) -> str:
    """Issue a coupon and return its code. The command id has no name, because an erasure keeps references."""
    cause = Cause("reward.earned", "/rewards", str(number))
    [answer] = await engine.execute([IssueCoupons(f"/rewards {number}", cause, customer, ("save10",), PLACED_AT)])
    assert isinstance(answer, Verdict)
    return answer.accepted[0].code


async def write_rows_everywhere(engine: Engine, pool: Pool) -> None:
    """Let Ann, under two names that are merged, do everything that leaves a row."""
    customers = (ANN, ANN_ELSEWHERE, BOB)
    one, two, three = [await issue_coupon(engine, number, customer) for number, customer in enumerate(customers)]
    cause = Cause("customer.signed_up", "/signup", "s-1")
    issued = IssueCoupons(
        "/signup s-1", cause, BOB, ("save10",), PLACED_AT, natural_key=referral_occasion(ANN.customer_id or "")
    )
    note = RecordCustomer("/signup s-2", Customer(ANN.customer_id, segments=("vip",)), PLACED_AT)
    metadata = {"gift_for": "Ann Smith", "mail": "ann.smith@example.com"}
    answers = await engine.execute(
        [
            issued,
            note,
            redeem("A-1", [one, "ann.smith@example.com"], customer=ANN, metadata=metadata),
            redeem("A-2", [two], customer=ANN_ELSEWHERE, hold=True, hold_seconds=600),
            redeem("A-3", ["LIMITED"], customer=ANN),
            redeem("A-4", [three], customer=BOTH, command_id="/couponry/http/key-1 idem-1"),
            redeem("G-1", ["NO-SUCH"], metadata={"note": "ask ann_smith_77 <ann.smith@example.com>"}),
            LockCoupons("/cli lock", "lock-1", ("LIMITED",), 600, ANN),
            PayOrder("/pay A-2", "A-2", PLACED_AT),
            ReturnOrder("/ret A-2", "A-2", whole=False, at=PLACED_AT, amount="10.00"),
            redeem("A-5", ["LIMITED"], customer=ANN, hold=True, hold_seconds=600),
            redeem("B-1", ["LIMITED"], customer=BOB),
        ]
    )
    assert all(isinstance(answer, Verdict) for answer in answers), answers
    await engine.execute([CancelOrder("/cancel A-1", "A-1", PLACED_AT)])
    data = {"order_id": "A-1", "customer": {"customer_id": "ann_smith_77", "email": "ANN.SMITH@example.com"}}
    payload = {"type": "coupon.redeemed", "timestamp": "2026-03-01T12:00:00Z", "data": data}
    endpoint = await pool.fetchval(
        "INSERT INTO webhook_endpoints (url, secret, event_types) VALUES ('https://x', 's', '{*}') "
        "RETURNING endpoint_id"
    )
    delivery = await pool.fetchval(
        "INSERT INTO webhook_deliveries (endpoint_id, event_id, type, payload) "
        "VALUES ($1, gen_random_uuid(), 'coupon.redeemed', $2) RETURNING delivery_id",
        endpoint, json.dumps(payload),
    )  # fmt: skip
    await pool.execute(
        "INSERT INTO webhook_attempts VALUES ($1, 1, now(), 422, 'no customer ann.smith@example.com', 5)", delivery
    )
    body = orjson.dumps({"customer": {"customer_id": "ann_smith_77"}, "valid": True})
    for key, text in (("idem-1", b"{}"), ("idem-2", body), ("idem-3", b'{"order_id": "B-1"}')):
        await pool.execute(
            "INSERT INTO http_answers VALUES ('key-1', $1, 'x', 1, now(), 200, 'application/json', $2)", key, text
        )
    await pool.execute(
        "INSERT INTO external_requests (command_id, campaign_id, idempotency_key, error) "
        "VALUES ('/signup s-1', 'save10', gen_random_uuid(), 'ann.smith@example.com is unknown')"
    )
    await pool.execute("INSERT INTO shared_occasions VALUES ('reward of ann_smith_77', 'save10')")


async def delete_erasure_events(pool: Pool) -> None:
    """Delete `customer.erased` events, which have the customer id until outbox and deliveries are pruned."""
    await pool.execute("DELETE FROM outbox WHERE type = 'customer.erased'")
    await pool.execute("DELETE FROM webhook_deliveries WHERE type = 'customer.erased'")


async def erase(pool: Pool, names: Any = ANN_IDENTIFIERS, **options: Any) -> str:
    erasure_id = await erasing.begin(pool, names, "a test", **options)
    assert erasure_id is not None
    await erasing.run(pool, erasure_id)
    return erasure_id
