"""No text within the limits is too long for an index: check every index with the widest possible row.

PostgreSQL refuses index rows of more than 2,704 bytes, which fails the whole batch. A new index on a text column fails
this test until the widest text of that column is written down here.
"""

from typing import Final

import pytest

from schemas.limits import MAX_ATTRIBUTE_BYTES, MAX_ID_BYTES, MAX_KEY_BYTES
from shared.ledger.database import open_pool

pytestmark = pytest.mark.postgres

MOST: Final = 2_704
OVERHEAD: Final = 8 + 16
"""An index row's header, plus lengths and alignment of its columns."""

COMMAND_ID: Final = 2 * MAX_ATTRIBUTE_BYTES + len(" ") + len("\tsegments")
"""`<source> <id>`, possibly with a suffix."""

ORDER_KEY: Final = 2 * MAX_ID_BYTES + 1
"""The ids of a shop and an order, and a separator; the same for a subscription."""

WIDEST: Final[dict[str, int]] = {
    "api_keys.key_id": 100,
    "campaigns.campaign_id": MAX_ID_BYTES,
    "campaigns.definition ->> 'group'": MAX_ID_BYTES,
    "coupons.campaign_id": MAX_ID_BYTES,
    "coupons.code_key": MAX_KEY_BYTES,
    "coupons.freed_key": MAX_KEY_BYTES,
    "coupons.occasion": len("coupons.issue ") + MAX_ID_BYTES,
    "customer_identifiers.kind": 6,
    "customer_identifiers.value": MAX_ID_BYTES,
    "external_requests.campaign_id": MAX_ID_BYTES,
    "external_requests.command_id": COMMAND_ID,
    "http_answers.caller": 400,
    "http_answers.idempotency_key": 255,
    "http_guesses.subject": len("address ") + 100,
    "jobs.caller": 400,
    "journal.command_id": COMMAND_ID,
    "journal.order_id": ORDER_KEY,
    "journal.verdict ->> 'customer_key'": 36,
    "lock_uses.lock_reference": len("order:") + ORDER_KEY,
    "lock_uses.subscription_id": ORDER_KEY,
    "locks.lock_reference": len("order:") + ORDER_KEY,
    "locks.order_id": ORDER_KEY,
    "meters.campaign_id": MAX_ID_BYTES,
    "orders.order_id": ORDER_KEY,
    "period_meters.campaign_id": MAX_ID_BYTES,
    "period_meters.period": len("coupon ") + 36,
    "relay_positions.relay": 255,
    "separate_customers.kind": 6,
    "separate_customers.other_kind": 6,
    "separate_customers.other_value": MAX_ID_BYTES,
    "separate_customers.value": MAX_ID_BYTES,
    "shared_occasions.campaign_id": MAX_ID_BYTES,
    "revoked_rewards.occasion": len("reward ") + MAX_ID_BYTES,
    "shared_occasions.occasion": len("coupons.issue ") + MAX_ID_BYTES,
    "ledger_entries.campaign_id": MAX_ID_BYTES,
    "ledger_entries.kind": 8,
    "ledger_entries.order_id": ORDER_KEY,
    "ledger_entries.subscription_id": ORDER_KEY,
}
"""Maximum bytes in UTF-8 of each indexed column."""

_INDEXES: Final = """
SELECT classes.relname AS index, tables.relname AS "table", keys.number,
       pg_get_indexdef(indexes.indexrelid, keys.number, true) AS "column",
       format_type(attributes.atttypid, NULL) AS type
FROM pg_index AS indexes
JOIN pg_class AS classes ON classes.oid = indexes.indexrelid
JOIN pg_class AS tables ON tables.oid = indexes.indrelid
JOIN pg_am AS methods ON methods.oid = classes.relam
JOIN pg_attribute AS attributes ON attributes.attrelid = indexes.indexrelid
CROSS JOIN LATERAL (SELECT attributes.attnum::integer AS number) AS keys
WHERE tables.relnamespace = current_schema()::regnamespace AND methods.amname = 'btree'
  AND tables.relname !~ '^(_yoyo|yoyo)'
ORDER BY 1, 3
"""


async def test_every_index_row_fits_in_any_script(database_url: str) -> None:
    async with await open_pool(database_url, max_size=1) as pool:
        rows = await pool.fetch(_INDEXES)
    widths: dict[str, int] = {}
    for row in rows:
        column = row["column"].strip("()").replace("::text", "").split(" COLLATE")[0]
        width = 16
        if row["type"] in ("text", "character varying"):
            name = f"{row['table']}.{column}"
            assert name in WIDEST, f"{row['index']}: how long can {name} be? Bound it in schemas/limits.py."
            width = WIDEST[name]
        widths[row["index"]] = widths.get(row["index"], OVERHEAD) + width
    assert len(widths) > 20
    assert {index: width for index, width in widths.items() if width > MOST} == {}


def test_no_code_in_upper_case_exceeds_the_limit() -> None:
    longest = max(len(chr(point).upper().encode()) for point in range(0x110000) if not 0xD800 <= point <= 0xDFFF)
    assert longest * 255 <= MAX_KEY_BYTES
