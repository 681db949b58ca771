"""Send thousands of generated requests: every response is as the OpenAPI document says."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from cli.processes import free_port
from services.gateway.access import keys
from services.gateway.access.callers import SCOPES
from shared.ledger.audit import audit
from shared.ledger.database import open_pool
from tests.integration.service_process import running

pytestmark = pytest.mark.asyncio

ROOT = Path(__file__).resolve().parents[2]
AT_LEAST = 5_000


@pytest.mark.timeout(600)
async def test_thousands_of_generated_requests_find_nothing_that_contradicts_the_openapi_document(
    database_url: str,
) -> None:
    async with await open_pool(database_url, max_size=2) as pool:
        key = (await keys.create(pool, "a test's", SCOPES)).key
        port = free_port()
        settings = {
            "http_port": port,
            "http_rate_per_minute": 10_000_000,
            "http_unknown_per_minute": 1_000_000,
            "http_unknown_per_minute_and_address": 1_000_000,
            "http_bad_keys_per_minute": 1_000_000,
            "log_level": "error",
        }
        async with running("gateway", {"COUPONRY_DATABASE_URL": database_url}, **settings) as gateway:
            await gateway.ready()
            # One worker: Python 3.11's `ast` isn't safe with several threads, and Hypothesis reads source with it.
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(ROOT / "schemathesis.toml"), "run"),
                f"http://127.0.0.1:{port}/openapi.json",
                *("--header", f"Authorization: Bearer {key}", "--checks", "all", "--max-examples", "25"),
                *("--seed", "1", "--request-timeout", "30", "--no-color"),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                cwd=ROOT,
            )
            printed = (await process.communicate())[0].decode()
            assert process.returncode == 0, printed[-20_000:]
            assert await gateway.stop() == 0
        generated = re.search(r"(\d+) generated", printed)
        assert generated is not None, printed[-2_000:]
        assert int(generated[1]) >= AT_LEAST
        assert (await audit(pool)).findings == ()
