"""Choose a key's partition like Kafka's own clients, so that streams with the same keys use the same partitions."""

import struct
from functools import cache
from typing import Final

_MASK: Final = 0xFFFFFFFF
_MULTIPLIER: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C


@cache
def _words(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}I")


def murmur2(data: bytes) -> int:
    """Return the 32-bit MurmurHash2 of `data`, computed as in Kafka's Java client.

    The version in aiokafka is three times slower, and the relay computes one for every event.
    """
    length = len(data)
    h = _SEED ^ length
    for word in _words(length >> 2).unpack_from(data):
        k = (word * _MULTIPLIER) & _MASK
        h = ((h * _MULTIPLIER) & _MASK) ^ (((k ^ (k >> 24)) * _MULTIPLIER) & _MASK)
    remainder = length & 3
    if remainder:
        h = ((h ^ int.from_bytes(data[length - remainder :], "little")) * _MULTIPLIER) & _MASK
    h = ((h ^ (h >> 13)) * _MULTIPLIER) & _MASK
    return h ^ (h >> 15)


def partition_of(key: bytes, partition_count: int) -> int:
    """Return the partition, from 0, that Kafka's default partitioner chooses for `key`."""
    return (murmur2(key) & 0x7FFFFFFF) % partition_count
