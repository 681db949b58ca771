"""Named SQL: one statement a file, read once. Folders below `sql/` say who runs a statement; names are unique."""

from functools import cache
from importlib import resources


@cache
def sql(name: str, package: str = "shared.ledger") -> str:
    """Return the text of `<name>.sql` below `<package>/sql/`. Raise FileNotFoundError for a name that doesn't exist."""
    folder = resources.files(package).joinpath("sql")
    for place in (folder, *sorted((one for one in folder.iterdir() if one.is_dir()), key=lambda one: one.name)):
        file = place.joinpath(f"{name}.sql")
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise FileNotFoundError(f"{package} has no statement {name!r}")
