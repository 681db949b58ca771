"""A limit of the memory that the request bodies of a process may use together."""

from services.gateway.batching import OverloadedError


class BodyMemory:
    """A number of bytes. They are taken as a body arrives, and given back when the request has its response."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.used = 0

    def take(self, size: int) -> None:
        """Take bytes. Raises OverloadedError if there is no room; a retry later can succeed."""
        if self.used + size > self._size:
            raise OverloadedError(f"{self.used:,} bytes of requests are in memory")
        self.used += size

    def give_back(self, size: int) -> None:
        """Give bytes back."""
        self.used -= size
