"""Find the ledger and the broker: in the environment, else in the stack that `couponry up` runs in this folder."""

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
SERVER_VARIABLES: Final = ("COUPONRY_DATABASE_URL", "COUPONRY_KAFKA_BOOTSTRAP_SERVERS", "COUPONRY_SECRETS_DIR")
"""If one of these is set, the local stack is ignored, so that no command mixes the servers of two stacks."""

KEY_FILE: Final = "api-key"
"""The file with the API key, in the folder of a stack."""

ENCRYPTION_KEY_FILE: Final = "encryption-key"
"""The file with the encryption key, in the folder of a stack."""

_data_dir: ContextVar[Path] = ContextVar("data_dir", default=DEFAULT_DATA_DIR)


def choose_data_dir(folder: Path) -> None:
    """Set the folder in which a running stack is looked for."""
    _data_dir.set(folder)


def data_dir() -> Path:
    """Return the folder of `couponry up`, in which other commands look for a running stack."""
    return _data_dir.get()


def find_settings(settings_class: "type[Some]") -> "Some":
    """Return settings from the environment; if it names neither ledger nor broker, those of the local stack.

    Raises SettingsError, whose text says how to start a stack or name servers.
    """
    from cli.embedded import running_stack  # noqa: PLC0415 - slow, and `couponry --help` imports this module
    from shared.runtime.settings import SettingsError, load_settings  # noqa: PLC0415

    if any(os.environ.get(name) for name in SERVER_VARIABLES):
        return load_settings(settings_class)
    stack = running_stack(data_dir())
    if stack is None:
        raise SettingsError(
            f"No stack is running in {data_dir()}: start one with `couponry up`, or name your own servers with "
            "COUPONRY_DATABASE_URL and COUPONRY_KAFKA_BOOTSTRAP_SERVERS."
        )
    # Set permanently: settings are read only from the environment, and a service started here needs them too.
    os.environ["COUPONRY_DATABASE_URL"] = stack.database_url
    os.environ["COUPONRY_KAFKA_BOOTSTRAP_SERVERS"] = stack.bootstrap_servers
    key = data_dir() / ENCRYPTION_KEY_FILE
    if not os.environ.get("COUPONRY_ENCRYPTION_KEYS") and key.exists():
        os.environ["COUPONRY_ENCRYPTION_KEYS"] = key.read_text(encoding="ascii").strip()
    return load_settings(settings_class)
