"""Encrypt secrets at rest: AES-256-GCM with a key from the environment, so that a copy of the database reveals none.

An encrypted value is text: `enc:v1:<key id>:<base64url of nonce and ciphertext>`. Every other value is plain, from
before encryption existed or because the operator chose plain. The key id is the beginning of a hash of the key: it
identifies the key a value needs without revealing it. The owner of a value (`about`) is authenticated with it, so that
a value copied to another row can't be decrypted there.
"""

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import Field, SecretStr

from shared.runtime.errors import OperatorError
from shared.runtime.settings import PREFIX, SECRETS_DIR_VARIABLE, CommonSettings, load_settings

VARIABLE: Final = PREFIX + "ENCRYPTION_KEYS"
MARK: Final = "enc:"
VERSION: Final = "enc:v1:"
PLAIN: Final = "none"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
"""96 random bits, as specified in NIST SP 800-38D: enough for 2^32 values per key."""
KEY_ID_LENGTH: Final = 8
KEYS_MAX: Final = 20

MAKE_ONE: Final = "make a key with `couponry secrets generate`"


class EncryptionError(OperatorError):
    """A secret can't be encrypted or decrypted with the keys that are set; the text says which key is missing."""


class EncryptionSettings(CommonSettings):
    """The keys of secrets at rest."""

    encryption_keys: SecretStr | None = Field(
        None,
        description="keys for webhook secrets and source headers at rest, separated by commas: the first "
        "encrypts, all decrypt; none: store them unencrypted",
    )


class DamagedSecretError(EncryptionError):
    """A stored secret can't be decrypted for its row with any key. Other rows are not affected."""


@dataclass(frozen=True, slots=True)
class _Key:
    key_id: str
    cipher: AESGCM


class Keyring:
    """The keys of this process. `encrypts`: whether new values are encrypted; None if the setting is missing."""

    def __init__(self, keys: Sequence[bytes] = (), *, encrypts: bool | None = None) -> None:
        self._keys: Mapping[str, _Key] = {_key_id(key): _Key(_key_id(key), AESGCM(key)) for key in keys}
        self.encrypts = encrypts

    @property
    def current_prefix(self) -> str | None:
        """The prefix of values that need no rotation; None if values are stored plain or no key is set."""
        return f"{VERSION}{next(iter(self._keys))}:" if self.encrypts else None

    def encrypt(self, text: str, about: str) -> str:
        """Return the stored form of `text` for `about` (the row it belongs to). Raises EncryptionError."""
        if self.encrypts is None:
            raise EncryptionError(
                f"{VARIABLE} is not set, so this secret can't be stored: {MAKE_ONE} and set it, or set {VARIABLE}=none "
                "to store secrets unencrypted."
            )
        if not self.encrypts:
            if text.startswith(MARK):
                raise EncryptionError(
                    f"A secret that begins with {MARK!r} can't be stored unencrypted: set a key in {VARIABLE}."
                )
            return text
        key = next(iter(self._keys.values()))
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + key.cipher.encrypt(nonce, text.encode(), about.encode())
        return f"{VERSION}{key.key_id}:{base64.urlsafe_b64encode(sealed).decode()}"

    def decrypt(self, stored: str, about: str) -> str:
        """Return the secret of a stored value; a plain value is the secret itself.

        Raises EncryptionError if a key is missing, DamagedSecretError if no key would help.
        """
        if not is_encrypted(stored):
            return stored
        key_id, _, sealed = stored.removeprefix(VERSION).partition(":")
        key = self._keys.get(key_id) if stored.startswith(VERSION) else None
        if key is None:
            which = f"with key {key_id}" if stored.startswith(VERSION) else "by a newer version of Couponry"
            known = f"has {', '.join(self._keys)}" if self._keys else "has no key"
            raise EncryptionError(
                f"The secret of {about} is encrypted {which}, but {VARIABLE} {known}. Add that key; the secret is lost "
                "only if the key is."
            )
        try:
            raw = base64.urlsafe_b64decode(sealed.encode())
            return key.cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], about.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise DamagedSecretError(
                f"The secret of {about} is damaged or was copied from another row: store it again."
            ) from error

    def renewed(self, stored: str, about: str) -> str:
        """Return a stored value encrypted under the first key; unchanged if it already is.

        Raises EncryptionError, DamagedSecretError.
        """
        prefix = self.current_prefix
        if self.encrypts is not None and (stored.startswith(prefix) if prefix else not is_encrypted(stored)):
            return stored
        return self.encrypt(self.decrypt(stored, about), about)


def is_encrypted(stored: str) -> bool:
    """Return whether a stored value is encrypted."""
    return stored.startswith(MARK)


def make_key() -> str:
    """Return a new key in the format of the setting."""
    return base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode()


def keyring() -> Keyring:
    """Return the keys from the environment. Raises EncryptionError if one of them is invalid."""
    # Read at each use, because tests and `couponry up` set it late; parsed once per text.
    return _keyring(os.environ.get(VARIABLE), os.environ.get(SECRETS_DIR_VARIABLE))


@lru_cache(maxsize=4)
def _keyring(_variable: str | None, _folder: str | None) -> Keyring:
    setting = load_settings(EncryptionSettings).encryption_keys
    return Keyring() if setting is None else parse_keys(setting.get_secret_value())


def parse_keys(text: str) -> Keyring:
    """Return the keys of a setting: keys and `none`, separated by commas. The first is used for writing."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or len(parts) > KEYS_MAX:
        raise EncryptionError(f"{VARIABLE} holds {len(parts)} keys; give 1 to {KEYS_MAX}, or none.")
    keys = [_parse(number, part) for number, part in enumerate(parts, 1) if part.lower() != PLAIN]
    return Keyring(keys, encrypts=parts[0].lower() != PLAIN)


def _parse(number: int, text: str) -> bytes:
    try:
        key = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise EncryptionError(f"{VARIABLE}: number {number} is not a base64 key of {KEY_BYTES} bytes; {MAKE_ONE}.")
    return key


def _key_id(key: bytes) -> str:
    return sha256(b"couponry encryption key id" + key).hexdigest()[:KEY_ID_LENGTH]
