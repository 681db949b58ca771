"""A short, seeded run of `make fuzz`: no input harms the service or its neighbours."""

from pathlib import Path

import pytest

from tests.backends import Broker, Postgres
from tests.fuzz.run import fuzz, summary

pytestmark = [pytest.mark.broker, pytest.mark.postgres, pytest.mark.faults]

SEED = 20_261_128


@pytest.mark.timeout(600)
@pytest.mark.parametrize("event_format", ["json", "avro"])
async def test_mutated_inputs_harm_nobody(kafka: Broker, postgres: Postgres, tmp_path: Path, event_format: str) -> None:
    report = await fuzz(kafka, postgres, tmp_path, seed=SEED, event_format=event_format, rounds=1, seconds=60)
    assert report.problems == [], summary(report)
    assert report.inputs > 2_000
