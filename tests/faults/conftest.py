"""Fixtures for the fault tests."""

import uuid
from collections.abc import Iterator

import pytest

from tests.backends import Postgres


@pytest.fixture
def faultless(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """The URL of a second migrated database, whose ledger no fault meets."""
    name = f"faultless_{uuid.uuid4().hex}"
    yield postgres.create_database(name, template=migrated_template)
    postgres.drop_database(name)
