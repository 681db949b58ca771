"""Read input files: plain or gzip, `-` for standard input, with clear messages when they can't be read."""

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
"""Piped input is read twice (checked, then sent), so it is kept: in memory up to this size, else on disk."""

PIECE_BYTES: Final = 64 * 1024
MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""Larger than any record that a broker accepts. Keeps a file without line ends from filling the memory."""


class InputFile:
    """A file that can be read several times. Messages call it `name`."""

    def __init__(self, name: str, raw: IO[bytes]) -> None:
        self.name = name
        self._raw = raw

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number from 1, line without its end) from the beginning each time, without blank lines."""
        self._raw.seek(0)
        with _errors(self.name), _unpacked(self._raw) as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise UsageProblemError(f"{self.name}, line {number}: longer than {MAX_LINE_BYTES:,} bytes.")
                if line := line.strip():
                    yield number, line

    def pieces(self) -> Iterator[bytes]:
        """Yield the unpacked content in pieces."""
        self._raw.seek(0)
        with _errors(self.name), _unpacked(self._raw) as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def content(self, most_bytes: int | None = None) -> bytes:
        """Return the unpacked content. Raises UsageProblemError after reading more than `most_bytes`."""
        self._raw.seek(0)
        with _errors(self.name), _unpacked(self._raw) as file:
            found = file.read() if most_bytes is None else file.read(most_bytes + 1)
        if most_bytes is not None and len(found) > most_bytes:
            raise UsageProblemError(f"{self.name} is larger than {most_bytes:,} bytes; split it into several files.")
        return found


@contextmanager
def open_input(path: Path) -> Iterator[InputFile]:
    """Open `path`, or standard input for `-`. Raises UsageProblemError if it can't be read."""
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
    """Yield the file, unpacked if it is gzip."""
    packed = raw.read(2) == GZIP_MAGIC
    raw.seek(0)
    if not packed:
        yield raw
        return
    with gzip.GzipFile(fileobj=raw) as file:
        yield file  # type: ignore[misc]  # GzipFile has the methods of a binary file


@contextmanager
def _errors(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UsageProblemError(f"There is no file {name}; check the path.") from None
    except IsADirectoryError:
        raise UsageProblemError(f"{name} is a folder; give a file in it.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UsageProblemError(f"{name} is a damaged gzip file ({error}); create it again.") from None
    except OSError as error:
        raise UsageProblemError(f"{name} can't be read: {error.strerror or error}.") from None
