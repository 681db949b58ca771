"""Reports of amounts that are larger together than any single one can be."""

from tests.gateway import served
from tests.ledger import definition

LARGEST = 10**18 - 1


async def test_the_sums_of_one_campaign_never_fail_the_report_of_all(database_url: str) -> None:
    huge = definition("huge", limits={}, code={"shared_code": "HUGE"}, discount={"kind": "percentage", "value": "100"})
    usual = definition("usual", code={"shared_code": "USUAL"})
    async with served(database_url, huge, usual) as here:
        for number in range(11):
            order = {"order_id": f"O{number}", "currency": "JPY", "amount": str(LARGEST)}
            answer = await here.client.post("/v1/redemptions", json={"codes": ["HUGE"], "order": order})
            assert answer.status_code == 200, f"{number} {answer.text}"
        order = {"order_id": "U", "currency": "USD", "amount": "50.00"}
        answer = await here.client.post("/v1/redemptions", json={"codes": ["USUAL"], "order": order})
        assert answer.json()["outcome"] == "redeemed"
        items = (await here.client.get("/v1/reports/campaigns")).json()["items"]
        assert {one["campaign_id"]: one["discount_given"] for one in items} == {
            "huge": {"JPY": str(11 * LARGEST)},
            "usual": {"USD": "5.00"},
        }
