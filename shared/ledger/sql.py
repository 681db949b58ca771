"""Named SQL: one statement per file, read once. Folders below `sql/` say who runs a statement; names are unique."""

from functools import cache
from importlib import resources


@cache
def sql(name: str, package: str = "shared.ledger") -> str:
    """Return the text of `<name>.sql` below `<package>/sql/`. Raises FileNotFoundError."""
    folder = resources.files(package).joinpath("sql")
    for place in (
        folder,
        *sorted((child for child in folder.iterdir() if child.is_dir()), key=lambda child: child.name),
    ):
        file = place.joinpath(f"{name}.sql")
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise FileNotFoundError(f"{package} has no statement {name!r}")
