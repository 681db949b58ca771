"""Where the ledger and the broker are: in the environment, else in the stack that `couponry up` runs in this folder."""

import os
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from shared.runtime.settings import CommonSettings

    Some = TypeVar("Some", bound=CommonSettings)
else:
    Some = TypeVar("Some")

DATA_DIR_VARIABLE: Final = "COUPONRY_DATA_DIR"
DEFAULT_DATA_DIR: Final = Path(".couponry")
DECIDING: Final = ("COUPONRY_DATABASE_URL", "COUPONRY_KAFKA_BOOTSTRAP_SERVERS", "COUPONRY_SECRETS_DIR")
"""One of these set means servers of one's own: no command may work on the ledger of one and the broker of another."""

KEY_FILE: Final = "api-key"
"""The key for HTTP, in the folder of a stack."""

ENCRYPTION_KEY_FILE: Final = "encryption-key"
"""The key of secrets at rest, in the folder of a stack."""

_data_dir: ContextVar[Path] = ContextVar("data_dir", default=DEFAULT_DATA_DIR)


def choose_data_dir(folder: Path) -> None:
    """Look for a running stack in `folder` from now on."""
    _data_dir.set(folder)


def data_dir() -> Path:
    """The folder that `couponry up` uses and every other command looks in."""
    return _data_dir.get()


def find_settings(settings_class: "type[Some]") -> "Some":
    """Settings from the environment; where it names neither ledger nor broker, those of the stack that runs here.

    Raises SettingsError, whose text says how to start or name one.
    """
    from cli.embedded import running_stack  # noqa: PLC0415 - this module is imported by `couponry --help`
    from shared.runtime.settings import SettingsError, load_settings  # noqa: PLC0415

    if any(os.environ.get(name) for name in DECIDING):
        return load_settings(settings_class)
    stack = running_stack(data_dir())
    if stack is None:
        raise SettingsError(
            f"No stack runs in {data_dir()}: start one with `couponry up`, or name servers of your own with "
            "COUPONRY_DATABASE_URL and COUPONRY_KAFKA_BOOTSTRAP_SERVERS."
        )
    # Set for good: settings are read from the environment only, and a service started from here needs them too.
    os.environ["COUPONRY_DATABASE_URL"] = stack.database_url
    os.environ["COUPONRY_KAFKA_BOOTSTRAP_SERVERS"] = stack.bootstrap_servers
    key = data_dir() / ENCRYPTION_KEY_FILE
    if not os.environ.get("COUPONRY_ENCRYPTION_KEYS") and key.exists():
        os.environ["COUPONRY_ENCRYPTION_KEYS"] = key.read_text(encoding="ascii").strip()
    return load_settings(settings_class)
