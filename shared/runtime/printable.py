"""Make text from outside safe to show on a terminal."""

import re
from typing import Final

_STEERS: Final = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, ESC and CSI among them; line feed and tab are layout
    "\xad\u0600-\u0605\u061c\u06dd\u070f\u180e"  # invisible format characters, the Arabic letter mark among them
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"  # zero width, direction, line and paragraph separators
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # byte order mark, annotations, invisible tags
    "\ud800-\udfff"  # surrogates, which no terminal's encoding has
    "]"
)
"""Characters that control a terminal, reorder text or are invisible. Joiners of scripts and emoji are allowed."""


def printable(text: str) -> str:
    """Return `text` with every character that could control a terminal escaped, as `\\x1b` or `\\u202e`."""
    return text if text.isprintable() else _STEERS.sub(_escaped, text)


def printable_json(document: str) -> str:
    """Return a JSON document with those characters as JSON escapes; its meaning doesn't change."""
    return document if document.isprintable() else _STEERS.sub(_json_escaped, document)


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _json_escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
