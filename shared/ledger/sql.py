"""Named SQL: one statement a file, read once."""

from functools import cache
from importlib import resources


@cache
def sql(name: str, package: str = "shared.ledger") -> str:
    """The text of `<package>/sql/<name>.sql`. Raises FileNotFoundError for a name that doesn't exist."""
    return resources.files(package).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
