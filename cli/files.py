"""Files that people hand over: plain or packed with gzip, `-` for standard input, and a clear word when unreadable."""

import gzip
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from cli.errors import UsageProblemError

STANDARD_INPUT: Final = Path("-")
GZIP_MAGIC: Final = b"\x1f\x8b"
SPOOL_BYTES: Final = 16 * 1024 * 1024
"""What comes over a pipe is read twice (checked, then sent), so it is kept: in memory up to here, else on disk."""

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""Above any record that a broker takes; a file without line ends must not fill the memory."""


class InputFile:
    """A file to be read once or more. `name` is what messages call it."""

    def __init__(self, name: str, raw: IO[bytes]) -> None:
        self.name = name
        self._raw = raw

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """(number from 1, line without its end), from the beginning each time; blank lines are left out."""
        self._raw.seek(0)
        with _errors(self.name), _unpacked(self._raw) as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise UsageProblemError(f"{self.name}, line {number}: longer than {MAX_LINE_BYTES:,} bytes.")
                if line := line.strip():
                    yield number, line

    def content(self, most_bytes: int | None = None) -> bytes:
        """All of it, unpacked. Raises UsageProblemError when that is more than `most_bytes`, and reads no further."""
        self._raw.seek(0)
        with _errors(self.name), _unpacked(self._raw) as file:
            found = file.read() if most_bytes is None else file.read(most_bytes + 1)
        if most_bytes is not None and len(found) > most_bytes:
            raise UsageProblemError(f"{self.name} is larger than {most_bytes:,} bytes; split it into several files.")
        return found


@contextmanager
def open_input(path: Path) -> Iterator[InputFile]:
    """Open `path`, or standard input for `-`. Raises UsageProblemError for what can't be read."""
    if path == STANDARD_INPUT:
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
            shutil.copyfileobj(sys.stdin.buffer, spool)
            yield InputFile("standard input", spool)
        return
    with _errors(str(path)):
        raw = path.open("rb")
    with raw:
        yield InputFile(str(path), raw)


@contextmanager
def _unpacked(raw: IO[bytes]) -> Iterator[IO[bytes]]:
    """The same, unpacked where it is packed."""
    packed = raw.read(2) == GZIP_MAGIC
    raw.seek(0)
    if not packed:
        yield raw
        return
    with gzip.GzipFile(fileobj=raw) as file:
        yield file  # type: ignore[misc]  # GzipFile reads like any binary file


@contextmanager
def _errors(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UsageProblemError(f"There is no file {name}; check the path.") from None
    except IsADirectoryError:
        raise UsageProblemError(f"{name} is a folder; name a file in it.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UsageProblemError(f"{name} is packed with gzip but damaged ({error}); make it anew.") from None
    except OSError as error:
        raise UsageProblemError(f"{name} can't be read: {error.strerror or error}.") from None
