"""Inputs that did harm once, kept as files: each run sends them first.

`corpus/records.json` is a list of {topic, key, value | value_repeated, headers}.
`corpus/requests.json` is a list of {door, method,
path, body | body_repeated}. `…_repeated` is [before, repeated, times, after], so that a long text is a short
file. Values are strings, or objects that are written as JSON.
"""

import json
from pathlib import Path
from typing import Any, Final

from tests.fuzz.events import Record
from tests.fuzz.requests import FORM, JSON, HttpRequest, credentials
from tests.fuzz.values import written

FOLDER: Final = Path(__file__).with_name("corpus")


def kept_records() -> list[Record]:
    """Return the records of the corpus."""
    return [
        Record(
            one["topic"],
            one.get("key", "k").encode(),
            _content(one, "value"),
            tuple((name, value.encode("utf-8", "surrogatepass")) for name, value in one.get("headers", {}).items()),
        )
        for one in _read("records.json")
    ]


def kept_requests(key: str) -> list[HttpRequest]:
    """Return the requests of the corpus, with credentials."""
    found = []
    for one in _read("requests.json"):
        headers = {**credentials(one["door"], key), "Content-Type": FORM if one["door"] == "paddle" else JSON}
        body = (_content(one, "body") or b"").replace(b"{key}", key.encode())
        path = one["path"] if isinstance(one["path"], str) else _repeated(one["path"])
        found.append(HttpRequest(one["door"], one["method"], path, tuple(headers.items()), body))
    return found


def _content(one: dict[str, Any], name: str) -> bytes | None:
    if f"{name}_repeated" in one:
        return _repeated(one[f"{name}_repeated"]).encode("utf-8", "surrogatepass")
    content = one.get(name)
    if content is None:
        return None
    return content.encode("utf-8", "surrogatepass") if isinstance(content, str) else written(content)


def _repeated(parts: list[Any]) -> str:
    before, repeated, times, after = parts
    return f"{before}{repeated * times}{after}"


def _read(name: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return entries
