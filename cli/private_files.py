"""Folders and files that are their owner's alone: data, logs and keys of `couponry up`."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
OTHERS: Final = 0o077


def private_folder(folder: Path) -> None:
    """Make `folder` where it is missing, and take it from others where it exists. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    folder.chmod(FOLDER_MODE)


def open_private(path: Path, flags: int = os.O_WRONLY | os.O_CREAT | os.O_APPEND) -> int:
    """Open a file that nobody else may read and return its descriptor; an existing one is taken from others."""
    descriptor = os.open(path, flags, FILE_MODE)
    with contextlib.suppress(PermissionError):  # another account's: writing to it was allowed, and that is enough
        os.fchmod(descriptor, FILE_MODE)
    return descriptor


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read at any moment, also while it is written."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "w", encoding="utf-8") as file:
        file.write(text)


def prepare_data_folder(folder: Path, ours: Iterable[str], *, skipped: Path) -> None:
    """Make the folder of a stack private, with what `ours` (names in it) an earlier version left readable.

    A folder that holds anything else is somebody's own, such as a home or `/tmp`, and keeps its mode. `skipped` is left
    alone: PostgreSQL keeps its data private itself. Links are not followed. Raises OSError.
    """
    ours = set(ours)
    if not folder.exists() or {path.name for path in folder.iterdir()} <= ours:
        private_folder(folder)
    for name in ours:
        _take_from_others(folder / name, skipped)


def _take_from_others(path: Path, skipped: Path) -> None:
    # What is another account's stays as it is, and what a server just ended removed is gone.
    with contextlib.suppress(PermissionError, FileNotFoundError):
        mode = path.lstat().st_mode
        if path == skipped or path.is_symlink():
            return
        if mode & OTHERS:
            path.chmod(mode & ~OTHERS & 0o7777)
        if path.is_dir():
            for child in path.iterdir():
                _take_from_others(child, skipped)
