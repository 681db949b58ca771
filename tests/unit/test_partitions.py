"""A key's partition is the one chosen by Kafka's own clients."""

from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.partitions import murmur2, partition_of


@given(st.binary(max_size=100))
def test_the_hash_is_the_one_of_kafkas_clients(key: bytes) -> None:
    assert murmur2(key) == reference(key)


@given(st.binary(max_size=50), st.integers(min_value=1, max_value=100))
def test_a_key_goes_where_the_default_partitioner_sends_it(key: bytes, count: int) -> None:
    partitions = list(range(count))
    assert partition_of(key, count) == DefaultPartitioner()(key, partitions, partitions)


def test_a_known_key_keeps_its_hash_for_ever() -> None:
    assert murmur2(b"21") == 3_321_034_988  # from the tests of Kafka's Java client
