"""Encryption keys for tests: the same in every run, since they are part of tests' names."""

import base64
from hashlib import sha256


def key(name: str) -> str:
    """Return a key of the right length, another one for each name."""
    return base64.urlsafe_b64encode(sha256(name.encode()).digest()).decode()
