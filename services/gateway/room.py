"""What all requests of a process may keep in memory together."""

from services.gateway.batching import OverloadedError


class Room:
    """So many bytes, taken as they arrive and given back when the request is answered."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.used = 0

    def take(self, size: int) -> None:
        """Take so many bytes. Raises OverloadedError where there is no room: the same request later is right."""
        if self.used + size > self._size:
            raise OverloadedError(f"{self.used:,} bytes of requests are in memory")
        self.used += size

    def give_back(self, size: int) -> None:
        """Give them back."""
        self.used -= size
