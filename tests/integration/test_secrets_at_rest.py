"""Webhook secrets and source headers at rest: encrypted, readable after an upgrade, rotated and never lost."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from standardwebhooks import Webhook

from schemas.campaigns import CampaignDefinition
from services.issuer.handler import IssueHandler
from services.issuer.sources.coupon_api import ApiLimits
from services.issuer.sources.coupon_api import open_client as open_source_client
from services.issuer.sources.external import ExternalCodes
from services.notifier.webhooks import deliveries
from services.notifier.webhooks.deliveries import Message
from services.notifier.webhooks.sender import Sender, open_client
from shared.ledger import planning, queries, stored_definitions
from shared.ledger.campaigns import change, save
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from shared.ledger.rotation import rotate
from shared.ledger.stored_definitions import about
from shared.runtime import encryption
from shared.runtime.encryption import VARIABLE, EncryptionError, parse_keys
from shared.webhooks import endpoints, stored_secrets
from tests.encryption_keys import key
from tests.gateway import served
from tests.integration.issuer_coupon_api import CouponApi, code
from tests.integration.webhook_receiver import LOCAL, receiving
from tests.ledger import definition, ledger
from tests.received_events import signup

pytestmark = pytest.mark.postgres

OLD, NEW = key("old"), key("new")
LIMITS = ApiLimits(attempts=1, try_seconds=5, total_seconds=5, allow_private=True)
Keys = Callable[[str | None], None]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with ledger(database_url) as opened:
        yield opened


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Keys:
    def use(text: str | None) -> None:
        monkeypatch.delenv(VARIABLE, raising=False)
        if text is not None:
            monkeypatch.setenv(VARIABLE, text)

    use(OLD)
    return use


def external(url: str = "https://codes.example/", token: str = "s3cret", **changes: Any) -> CampaignDefinition:
    source = {"kind": "external", "url": url, "headers": {"X-Token": token, "X-Shop": "7"}}
    return definition("ext", code={}, issues_on=[{"event": "customer.signed_up"}], source=source, **changes)


async def stored_header(pool: Pool) -> str:
    return str(await pool.fetchval("SELECT definition #>> '{source,headers,X-Token}' FROM campaigns"))


async def stored_secrets_of(pool: Pool) -> list[str]:
    rows = await pool.fetch("SELECT secret, previous_secret FROM webhook_endpoints ORDER BY created_at")
    return [one for row in rows for one in row if one is not None]


async def whole_database(pool: Pool) -> str:
    """Return every row of every table as text."""
    tables = await pool.fetch(
        "SELECT format('%I', table_name) FROM information_schema.tables"
        " WHERE table_schema = 'couponry' AND table_type = 'BASE TABLE'"
    )
    rows = [await pool.fetch(f"SELECT t::text FROM {table[0]} AS t") for table in tables]
    return "\n".join(row[0] for table in rows for row in table)


async def sign_up(pool: Pool, api: CouponApi, event_id: str = "1") -> None:
    customer = {"customer_id": f"c{event_id}", "email": "a@b.example"}
    async with open_source_client(LIMITS, 1) as client:
        codes = ExternalCodes(pool, client, LIMITS, concurrency=1, batch_seconds=5)
        await IssueHandler(pool, Engine(pool), codes).handle([signup(event_id, customer=customer)])


async def deliver(pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await deliveries.enqueue(connection, [Message(uuid4(), "coupon.redeemed", '{"data":{}}')])
    async with open_client(LOCAL) as client:
        await Sender(pool, client, LOCAL).run_once()


async def test_a_copy_of_the_database_contains_no_secret(keys: Keys, database_url: str) -> None:
    async with served(database_url, external(), webhooks_allow_private=True) as here:
        body = {"url": "http://127.0.0.1:9/hooks"}
        made = await here.client.post("/v1/webhooks", json=body, headers={"Idempotency-Key": "k1"})
        again = await here.client.post("/v1/webhooks", json=body, headers={"Idempotency-Key": "k1"})
        assert made.status_code == 201
        assert again.content == made.content
        secret = made.json()["secret"]
        rotated = await here.client.post(f"/v1/webhooks/{made.json()['endpoint_id']}/rotate", json={})
        everything = await whole_database(here.pool)
    for hidden in (secret, rotated.json()["secret"], "s3cret"):
        raw = hidden.removeprefix("whsec_")
        assert raw not in everything
        assert raw.encode().hex() not in everything
    assert "enc:v1:" in everything


async def test_an_encrypted_header_reaches_the_source_and_an_encrypted_secret_signs(keys: Keys, pool: Pool) -> None:
    async with CouponApi(code("EXT-1")) as api, receiving() as receiver:
        await save(pool, [external(api.url)])
        endpoint = await endpoints.add(pool, receiver.url(), allow_private=True)
        await sign_up(pool, api)
        await deliver(pool)
        assert api.requests[0].headers["x-token"] == "s3cret"
        Webhook(endpoint.secret).verify(receiver.calls[0].body, receiver.calls[0].headers)
    assert (await stored_header(pool)).startswith("enc:v1:")
    assert all(one.startswith("enc:v1:") for one in await stored_secrets_of(pool))


async def test_saving_the_same_again_changes_nothing_and_a_plan_says_so(keys: Keys, pool: Pool) -> None:
    await save(pool, [external()])
    before = await stored_header(pool)
    assert [one.change for one in await save(pool, [external()])] == ["unchanged"]
    async with pool.acquire() as connection:
        assert [one.change for one in await planning.plan(connection, [external()])] == ["unchanged"]
        (planned,) = await planning.plan(connection, [external(token="other")])
    assert planned.change == "changed"
    assert "other" not in repr(planned)
    assert "enc:" not in repr(planned)
    assert await stored_header(pool) == before
    assert [one.change for one in await save(pool, [external(token="other")])] == ["changed"]
    assert await stored_header(pool) != before


async def test_plain_rows_of_an_earlier_version_are_read_and_encrypted_by_a_rotation(keys: Keys, pool: Pool) -> None:
    keys("none")
    async with CouponApi(code("EXT-1"), code("EXT-2")) as api, receiving() as receiver:
        await save(pool, [external(api.url)])
        endpoint = await endpoints.add(pool, receiver.url(), allow_private=True)
        assert await stored_header(pool) == "s3cret"
        keys(NEW)
        await sign_up(pool, api)
        await deliver(pool)
        assert [one.change for one in await save(pool, [external(api.url)])] == ["unchanged"]
        await rotate_everything(pool)
        assert (await stored_header(pool)).startswith("enc:v1:")
        await sign_up(pool, api, "2")
        await deliver(pool)
        assert [request.headers["x-token"] for request in api.requests] == ["s3cret"] * 2
        for call in receiver.calls:
            Webhook(endpoint.secret).verify(call.body, call.headers)
        assert len(receiver.calls) == 2


async def rotate_everything(pool: Pool, size: int = 2) -> tuple[int, int]:
    one = await rotate(lambda after, most: stored_secrets.rotate_piece(pool, after, most), size)
    two = await rotate(lambda after, most: stored_definitions.rotate_piece(pool, after, most), size)
    assert (one.missed, two.missed) == (0, 0)
    return one.changed, two.changed


async def test_a_rotation_in_pieces_encrypts_everything_under_the_new_key_and_changes_no_version(
    keys: Keys, pool: Pool
) -> None:
    await save(pool, [external().model_copy(update={"campaign_id": f"ext{number}"}) for number in range(7)])
    made = [await endpoints.add(pool, "https://example.com/") for _ in range(5)]
    await endpoints.rotate(pool, made[0].endpoint_id)
    versions = await pool.fetch("SELECT campaign_id, version, updated_at FROM campaigns ORDER BY 1")
    keys(f"{NEW},{OLD}")
    assert await rotate_everything(pool) == (5, 7)
    assert await rotate_everything(pool) == (0, 0)
    keys(NEW)
    await stored_secrets.check_readable(pool)
    await stored_definitions.check_readable(pool)
    assert len(await stored_secrets_of(pool)) == 6
    assert await pool.fetch("SELECT campaign_id, version, updated_at FROM campaigns ORDER BY 1") == versions
    keys(f"none,{NEW}")
    assert await rotate_everything(pool) == (5, 7)
    assert (await stored_secrets_of(pool))[0].startswith("whsec_")


async def test_a_rotation_loses_no_secret_that_changes_during_it(keys: Keys, pool: Pool) -> None:
    made = [await endpoints.add(pool, "https://example.com/") for _ in range(6)]
    await save(pool, [external()])
    keys(f"{NEW},{OLD}")
    latest: dict[UUID, str] = {}

    async def change_secrets() -> None:
        for one in made * 3:
            latest[one.endpoint_id] = (await endpoints.rotate(pool, one.endpoint_id)).secret
        for number in range(10):
            await save(pool, [external(token=f"token-{number}")])

    await asyncio.gather(change_secrets(), *(rotate_everything(pool, 1) for _ in range(3)))
    await rotate_everything(pool)
    ring = parse_keys(NEW)
    for record in await pool.fetch("SELECT endpoint_id, secret, previous_secret FROM webhook_endpoints"):
        assert ring.decrypt(record[1], endpoints.about(record[0])) == latest[record[0]]
        assert ring.decrypt(record[2], endpoints.about(record[0])).startswith("whsec_")
    assert ring.decrypt(await stored_header(pool), about("ext", "X-Token")) == "token-9"


async def test_without_a_key_nothing_is_stored_and_the_error_says_what_to_do(keys: Keys, database_url: str) -> None:
    keys(None)
    async with served(database_url, webhooks_allow_private=True) as here:
        for request in (
            here.client.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/"}),
            here.client.post("/v1/campaigns", json=external().model_dump(mode="json")),
        ):
            answer = await request
            assert answer.status_code == 503, answer.text
            assert "couponry secrets generate" in answer.json()["detail"]
        assert await here.pool.fetchval("SELECT count(*) FROM webhook_endpoints") == 0
        assert await here.pool.fetchval("SELECT count(*) FROM campaigns") == 0


@pytest.mark.parametrize("wrong", [None, "none", NEW])
async def test_a_missing_key_stops_sender_and_issuer_at_the_start(keys: Keys, pool: Pool, wrong: str | None) -> None:
    async with CouponApi(code("EXT-1")) as api, receiving() as receiver:
        await save(pool, [external(api.url)])
        await endpoints.add(pool, receiver.url(), allow_private=True)
        keys(wrong)
        key_id = (parse_keys(OLD).current_prefix or "").split(":")[2]
        for check in (stored_secrets.check_readable, stored_definitions.check_readable):
            with pytest.raises(EncryptionError, match=f"encrypted with key {key_id}.*Add that key"):
                await check(pool)
        with pytest.raises(EncryptionError):
            await sign_up(pool, api)
        with pytest.raises(EncryptionError):
            await deliver(pool)
        assert api.requests == []
        assert receiver.calls == []
        assert await pool.fetchval("SELECT count(*) FROM external_requests") == 0
        # Everything else works: lists, pauses and other campaigns need no key, and the header stays.
        before = await stored_header(pool)
        async with pool.acquire() as connection:
            assert len(await queries.campaigns(connection)) == 1
        await change(pool, "ext", lambda one: one.model_copy(update={"status": "paused"}))
        assert await stored_header(pool) == before
        keys(OLD)
        await change(pool, "ext", lambda one: one.model_copy(update={"status": "active"}))
        await sign_up(pool, api)
        await pool.execute("UPDATE webhook_deliveries SET next_attempt_at = now()")
        await deliver(pool)
        assert api.requests[0].headers["x-token"] == "s3cret"
        assert len(receiver.calls) == 2


async def test_a_secret_copied_to_another_row_is_refused_and_affects_no_other_endpoint(keys: Keys, pool: Pool) -> None:
    async with receiving() as receiver:
        one = await endpoints.add(pool, receiver.url(path="/one"), allow_private=True)
        two = await endpoints.add(pool, receiver.url(path="/two"), allow_private=True)
        await pool.execute(
            "UPDATE webhook_endpoints SET secret = (SELECT secret FROM webhook_endpoints WHERE endpoint_id = $1)"
            " WHERE endpoint_id = $2",
            two.endpoint_id,
            one.endpoint_id,
        )
        await stored_secrets.check_readable(pool)
        await deliver(pool)
        assert [call.path for call in receiver.calls] == ["/two"]
        assert "was copied" in await pool.fetchval("SELECT error FROM webhook_attempts WHERE error IS NOT NULL")


async def test_a_damaged_header_affects_only_its_campaign(keys: Keys, pool: Pool) -> None:
    async with CouponApi(code("EXT-1")) as api:
        await save(pool, [external(api.url), definition("plain", issues_on=[{"event": "customer.signed_up"}])])
        await pool.execute(
            "UPDATE campaigns SET version = version + 100, definition = jsonb_set(definition,"
            " '{source,headers,X-Token}', to_jsonb((definition #>> '{source,headers,X-Shop}')))"
            " WHERE campaign_id = 'ext'"
        )
        await stored_definitions.check_readable(pool)
        await sign_up(pool, api)
        assert api.requests == []
    assert "was copied" in await pool.fetchval("SELECT error FROM external_requests")
    assert await pool.fetchval("SELECT count(*) FROM coupons WHERE campaign_id = 'plain'") == 1


async def test_an_encrypted_text_of_another_place_is_refused_as_a_header(keys: Keys, pool: Pool) -> None:
    await save(pool, [external()])
    other = external(token=await stored_header(pool)).model_copy(update={"campaign_id": "ext2"})
    with pytest.raises(EncryptionError, match="Give the header's plain value"):
        await save(pool, [other])


def test_the_setting_is_read_from_a_secrets_folder_like_others(
    keys: Keys, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys(None)
    (tmp_path / "couponry_encryption_keys").write_text(f"{NEW},{OLD}")
    monkeypatch.setenv("COUPONRY_SECRETS_DIR", str(tmp_path))
    assert encryption.keyring().current_prefix == parse_keys(NEW).current_prefix


@pytest.mark.parametrize("service", ["issuer", "notifier"])
async def test_a_process_without_the_key_exits_with_2_and_names_it(
    keys: Keys, pool: Pool, database_url: str, service: str
) -> None:
    await save(pool, [external()])
    await endpoints.add(pool, "https://example.com/")
    environment = {
        **os.environ,
        VARIABLE: NEW,
        "COUPONRY_DATABASE_URL": database_url,
        "COUPONRY_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",  # not reached
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"services.{service}", env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 2, said
    key_id = (parse_keys(OLD).current_prefix or "").split(":")[2]
    assert f"encrypted with key {key_id}" in said.decode()
