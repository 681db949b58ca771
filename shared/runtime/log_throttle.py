"""Log identical lines of a library at most once every 10 seconds, with a count of the others."""

import logging
import time
from typing import Final

WINDOW_SECONDS: Final = 10.0
MAX_KINDS: Final = 200
"""The most message templates remembered, because a library that formats messages itself makes every one different."""


class OncePerWindow(logging.Filter):
    """Passes one line per message template every `window_seconds`; the next one says how many were left out."""

    def __init__(self, window_seconds: float = WINDOW_SECONDS) -> None:
        super().__init__()
        self._window_seconds = window_seconds
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = (record.name, str(record.msg))
        now = time.monotonic()
        since, left_out = self._seen.get(kind, (-self._window_seconds, 0))
        if now - since < self._window_seconds:
            self._seen[kind] = (since, left_out + 1)
            return False
        if len(self._seen) >= MAX_KINDS:
            self._seen.clear()
        self._seen[kind] = (now, 0)
        if left_out:
            record.msg = f"{record.getMessage()} (and {left_out} more like it)"
            record.args = ()
        return True
