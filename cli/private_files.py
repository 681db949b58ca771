"""Create folders and files that only their owner can read: data, logs and keys of `couponry up`."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
OTHERS: Final = 0o077


def private_folder(folder: Path) -> None:
    """Create `folder` if it is missing, and remove other accounts' access to it. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    folder.chmod(FOLDER_MODE)


def open_private(path: Path, flags: int = os.O_WRONLY | os.O_CREAT | os.O_APPEND) -> int:
    """Open a file that only its owner can read and return its descriptor; an existing file is made private."""
    descriptor = os.open(path, flags, FILE_MODE)
    with contextlib.suppress(PermissionError):  # another account owns the file, but it could be opened for writing
        os.fchmod(descriptor, FILE_MODE)
    return descriptor


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, also while it is being written."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "w", encoding="utf-8") as file:
        file.write(text)


def prepare_data_folder(folder: Path, ours: Iterable[str], *, skipped: Path) -> None:
    """Make the folder of a stack private, and the files `ours` in it that an earlier version left readable.

    A folder with other files, such as a home or `/tmp`, has another use and keeps its mode. `skipped` isn't changed:
    PostgreSQL keeps its data private itself. Links are not followed. Raises OSError.
    """
    ours = set(ours)
    if not folder.exists() or {path.name for path in folder.iterdir()} <= ours:
        private_folder(folder)
    for name in ours:
        _make_private(folder / name, skipped)


def _make_private(path: Path, skipped: Path) -> None:
    # Files of another account stay as they are; a server that is stopping may remove a file at any moment.
    with contextlib.suppress(PermissionError, FileNotFoundError):
        mode = path.lstat().st_mode
        if path == skipped or path.is_symlink():
            return
        if mode & OTHERS:
            path.chmod(mode & ~OTHERS & 0o7777)
        if path.is_dir():
            for child in path.iterdir():
                _make_private(child, skipped)
