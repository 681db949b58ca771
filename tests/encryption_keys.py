"""Encryption keys for tests: the same in every run, because they are part of test names."""

import base64
from hashlib import sha256


def key(name: str) -> str:
    """Return a valid key, a different one for each name."""
    return base64.urlsafe_b64encode(sha256(name.encode()).digest()).decode()
