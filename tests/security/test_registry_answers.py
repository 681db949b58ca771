"""A schema registry that sends too much, too slowly or a redirect costs limited time and memory."""

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from schemas.registry import SchemaRegistryUnavailableError, UnknownSchemaError
from shared.runtime import schema_registry
from shared.runtime.schema_registry import MAX_RESPONSE_BYTES, HttpSchemaRegistry

Parts = Callable[[threading.Event], Iterator[bytes]]
DEEP = json.dumps({"schema": "[" * 100_000 + "]" * 100_000}).encode()


@contextmanager
def serving(parts: Parts) -> Iterator[tuple[HttpSchemaRegistry, list[bytes]]]:
    """A server that answers each request with `parts`, unchanged."""
    asked: list[bytes] = []
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while not over.is_set():
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    asked.append(connection.recv(65536))
                    for part in parts(over):
                        connection.sendall(part)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with HttpSchemaRegistry(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
            yield client, asked
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def answer(content: bytes, *headers: str, status: str = "200 OK") -> Parts:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers, f"content-length: {len(content)}", ""))
    return lambda _: iter([head.encode() + content])


def endless(_: threading.Event) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    for _ in range(MAX_RESPONSE_BYTES // 1000 * 4):
        yield b"3e8\r\n" + b"x" * 1000 + b"\r\n"


def dripping(over: threading.Event) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"
    while not over.wait(0.02):
        yield b"x"


@pytest.mark.parametrize(
    ("parts", "error", "text"),
    [
        (endless, UnknownSchemaError, "more than"),
        (dripping, SchemaRegistryUnavailableError, "too long"),
        (
            answer(b"", "location: http://127.0.0.1:1/schemas/ids/1", status="302 Found"),
            SchemaRegistryUnavailableError,
            "answered 302",
        ),
        (
            answer(gzip.compress(b" " * 100_000_000, 1), "content-encoding: gzip"),
            SchemaRegistryUnavailableError,
            "compressed",
        ),
        (answer(DEEP), UnknownSchemaError, "not an Avro schema"),
        (answer(b"[" * 100_000), SchemaRegistryUnavailableError, "not JSON"),
        (answer(b'{"schema": "' + b"\\u0000" * 10 + b'"}'), UnknownSchemaError, "not an Avro schema"),
    ],
    ids=["endless", "dripping", "redirect", "compressed", "deep schema", "deep answer", "NUL"],
)
def test_a_response_beyond_the_limits_is_refused(
    parts: Parts, error: type[Exception], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_registry, "TOTAL_SECONDS", 0.5)
    with serving(parts) as (client, asked), pytest.raises(error, match=text):
        client.schema(1)
    assert len(asked) == 1
    assert b"accept-encoding: identity" in asked[0].lower()
