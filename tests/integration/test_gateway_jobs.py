"""Jobs that create many coupons, and codes that are imported as a stream."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from services.gateway.jobs import JobRunner, find
from shared.ledger.engine import Engine
from tests.gateway import Served, served
from tests.ledger import definition

pytestmark = pytest.mark.asyncio

MANY = {"campaign_id": "save10", "count": 2_500}


async def worked(here: Served) -> int:
    """Run jobs until none waits. Return the number of parts."""
    runner, parts = JobRunner(here.pool, here.gateway.engine), 0
    while await runner.run_once():
        parts += 1
    return parts


async def test_a_job_creates_many_coupons_and_its_codes_are_streamed(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        begun = await here.client.post("/v1/coupons", json=MANY)
        assert (begun.status_code, begun.json()["status"], begun.json()["done"]) == (202, "waiting", 0)
        path = f"/v1/jobs/{begun.json()['job_id']}"
        assert await JobRunner(here.pool, here.gateway.engine).run_once()
        running = (await here.client.get(path)).json()
        assert (running["status"], running["done"]) == ("running", 1_000)
        assert await worked(here) == 2
        done = (await here.client.get(path)).json()
        assert (done["status"], done["done"], done["problem"]) == ("done", 2_500, None)
        as_csv = await here.client.get(f"{path}/codes")
        lines = as_csv.text.split("\r\n")
        assert (lines[0], len(set(lines[1:-1])), as_csv.headers["content-type"]) == (
            "code", 2_500, "text/csv; charset=utf-8",
        )  # fmt: skip
        as_json = await here.client.get(f"{path}/codes", params={"format": "ndjson"})
        codes = [json.loads(line)["code"] for line in as_json.text.splitlines()]
        assert codes == lines[1:-1]
        assert await here.pool.fetchval("SELECT count(*) FROM coupons") == 2_500


async def test_a_retried_request_returns_the_same_job(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        headers = {"Idempotency-Key": "k"}
        first = await here.client.post("/v1/coupons", json=MANY, headers=headers)
        again = await here.client.post("/v1/coupons", json=MANY, headers=headers)
        assert first.content == again.content
        await here.pool.execute("DELETE FROM http_answers")
        once_more = await here.client.post("/v1/coupons", json=MANY, headers=headers)
        assert once_more.json()["job_id"] == first.json()["job_id"]
        assert await here.pool.fetchval("SELECT count(*) FROM jobs") == 1


async def test_a_job_continues_after_its_gateway_died(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        job_id = (await here.client.post("/v1/coupons", json=MANY)).json()["job_id"]
        job = await find(here.pool, job_id)
        assert job is not None
        # It leased the job, created the first part, and died before it recorded that.
        await here.pool.execute("UPDATE jobs SET status = 'running', lease_until = now() + interval '1 hour'")
        await Engine(here.pool).execute([job.part(0)])
        assert await worked(here) == 0, "another gateway has the lease"
        await here.pool.execute("UPDATE jobs SET lease_until = now() - interval '1 second'")
        assert await worked(here) == 3
        assert await here.pool.fetchval("SELECT count(*) FROM coupons") == 2_500


async def test_two_runners_share_the_work_and_create_nothing_twice(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        for _ in range(3):
            await here.client.post("/v1/coupons", json=MANY)
        await asyncio.gather(worked(here), worked(here))
        assert await here.pool.fetchval("SELECT count(*) FROM coupons") == 7_500
        assert await here.pool.fetchval("SELECT bool_and(status = 'done' AND done = total) FROM jobs")


async def test_an_impossible_job_is_refused_at_once_or_fails_with_the_reason(database_url: str) -> None:
    campaigns = [
        definition("shared", code={"shared_code": "ALL"}),
        definition("short", code={"pattern": "S-#######"}),
        definition("few", limits={"coupons_total": 1_500}),
    ]
    async with served(database_url, *campaigns) as here:
        for campaign, status in (("nope", 404), ("shared", 422), ("short", 422)):
            answer = await here.client.post("/v1/coupons", json={"campaign_id": campaign, "count": 1_000_000})
            assert answer.status_code == status, answer.text
        too_many = await here.client.post("/v1/coupons", json={"campaign_id": "few", "count": 1_000_001})
        assert too_many.status_code == 422
        few = await here.client.post("/v1/coupons", json={"campaign_id": "few", "count": 2_000})
        await worked(here)
        document = (await here.client.get(f"/v1/jobs/{few.json()['job_id']}")).json()
        assert (document["status"], document["done"]) == ("failed", 1_000)
        assert "few" in document["problem"]
        assert (await here.client.get("/v1/jobs/0199f6a2-5c1e-7b43-9a51-3d0c8f6b2a10")).status_code == 404


async def import_codes(
    here: Served, body: bytes, kind: str = "text/csv", **query: object
) -> tuple[int, dict[str, object]]:
    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 777):
            yield body[start : start + 777]

    answer = await here.client.post(
        "/v1/campaigns/save10/codes/import", content=stream(), headers={"Content-Type": kind}, params=query
    )
    return answer.status_code, answer.json()


async def test_codes_are_imported_as_csv_ndjson_and_plain_lines(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        csv = "\ufeffname;Code\r\n" + "".join(f"n{number};C-{number}\r\n" for number in range(2_100))
        assert await import_codes(here, csv.encode()) == (200, {"added": 2_100, "existing": 0, "next_line": 2_102})
        plain = "\n".join(f"C-{number}" for number in range(2_000, 2_200))
        assert await import_codes(here, plain.encode(), "text/plain") == (
            200, {"added": 100, "existing": 100, "next_line": 201},
        )  # fmt: skip
        ndjson = b'{"code": "N-1", "note": "x"}\n\n"N-2"\n{"code": "with,comma"}\n'
        assert (await import_codes(here, ndjson, "application/x-ndjson"))[1]["added"] == 3
        assert (await here.client.get("/v1/coupons/c-2099")).json()["status"] == "active"


async def test_an_invalid_line_is_reported_and_nothing_of_its_chunk_is_added(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        lines = [f"C-{number}" for number in range(2_500)]
        lines[1_700] = "x" * 300
        status, document = await import_codes(here, "\n".join(lines).encode(), "text/plain")
        assert (status, document["line"], document["added"], document["next_line"]) == (422, 1_701, 1_000, 1_001)
        assert "line 1701" in str(document["detail"])
        lines[1_700] = "C-1700"
        again = await import_codes(here, "\n".join(lines).encode(), "text/plain", from_line=document["next_line"])
        assert again == (200, {"added": 1_500, "existing": 0, "next_line": 2_501})
        whole = await import_codes(here, "\n".join(lines).encode(), "text/plain")
        assert whole == (200, {"added": 0, "existing": 2_500, "next_line": 2_501})


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"A\nB\xff\n", "text/plain"),
        (b"A,B\n", "text/plain"),
        (b"code,x\nA\n,1\n", "text/csv"),
        (b"{\n", "application/x-ndjson"),
        (b'{"kode": "A"}\n', "application/x-ndjson"),
        (b'"\\ud800"\n', "application/x-ndjson"),
        (b'"A\\u0000"\n', "application/x-ndjson"),
        (b'{"code": "A-1\\nA-2"}\n', "application/x-ndjson"),
        (b"A|1\n", "text/csv"),
        (b"A|1\n", "text/plain"),
        (b'code\n"A-1\nA-2"\n', "text/csv"),
        (b"code,uses\nA,1\nTotal,1\n", "text/csv"),
        (b"1.23E+10\n", "text/plain"),
        (b"PK\x03\x04 an xlsx file of codes", "text/csv"),
        (b"x" * 70_000, "text/plain"),
    ],
)
async def test_an_invalid_code_is_reported_with_its_line(database_url: str, body: bytes, kind: str) -> None:
    async with served(database_url, definition()) as here:
        status, document = await import_codes(here, body, kind)
        assert (status, document["code"]) == (422, "invalid_request")
        assert str(document["detail"]).startswith("line ")
        assert await here.pool.fetchval("SELECT count(*) FROM coupons") == 0


async def test_an_empty_stream_is_refused(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        status, document = await import_codes(here, b"")
        assert (status, document["detail"]) == (422, "The body is empty; send one code per line.")
        assert await import_codes(here, b"A\n", from_line=5) == (200, {"added": 0, "existing": 0, "next_line": 2})


async def test_codes_are_imported_into_the_pool_of_a_pool_campaign(database_url: str) -> None:
    async with served(database_url, definition(source={"kind": "pool"}, code={})) as here:
        assert (await import_codes(here, b"code\nP-1\nP-2\n"))[1]["added"] == 2
        assert (await import_codes(here, b"code\nP-1\nP-3\n"))[1] == {"added": 1, "existing": 1, "next_line": 4}
        given = await here.client.post("/v1/coupons", json={"campaign_id": "save10", "customer": {"customer_id": "j"}})
        assert given.json()["coupons"][0]["code"].startswith("P-")


async def test_a_stream_with_another_media_type_or_an_unknown_campaign_is_refused(database_url: str) -> None:
    async with served(database_url) as here:
        assert (await import_codes(here, b"A\n", "application/json"))[0] == 415
        assert (await import_codes(here, b"A\n"))[0] == 404
