"""Keys and values of secrets at rest, without a database."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.encryption import (
    DamagedSecretError,
    EncryptionError,
    Keyring,
    is_encrypted,
    parse_keys,
)
from tests.encryption_keys import key

ONE, TWO = key("one 2"), key("two")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.text(max_size=50))
def test_a_secret_is_decrypted_unchanged_and_encrypted_differently_each_time(text: str, about: str) -> None:
    keys = parse_keys(ONE)
    first, second = keys.encrypt(text, about), keys.encrypt(text, about)
    assert first != second
    assert is_encrypted(first)
    assert keys.decrypt(first, about) == keys.decrypt(second, about) == text


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    old = parse_keys(ONE).encrypt("s", "row 1")
    both = parse_keys(f"{TWO}, {ONE}")
    assert both.decrypt(old, "row 1") == "s"
    renewed = both.renewed(old, "row 1")
    assert renewed != old
    assert parse_keys(TWO).decrypt(renewed, "row 1") == "s"
    assert both.renewed(renewed, "row 1") == renewed
    assert parse_keys(f"none,{ONE}").renewed(old, "row 1") == "s"


def test_a_missing_key_is_named_and_a_secret_is_bound_to_its_row() -> None:
    stored = parse_keys(ONE).encrypt("s", "row 1")
    for keys in (Keyring(), parse_keys("none"), parse_keys(TWO)):
        with pytest.raises(EncryptionError, match=stored.split(":")[2]) as caught:
            keys.decrypt(stored, "row 1")
        assert not isinstance(caught.value, DamagedSecretError)
    with pytest.raises(DamagedSecretError, match="row 2"):
        parse_keys(ONE).decrypt(stored, "row 2")
    with pytest.raises(EncryptionError, match="newer version"):
        parse_keys(ONE).decrypt("enc:v9:abc", "row 1")


@pytest.mark.parametrize("cut", ["", "A", "!!!!", "AAAA" * 20])
def test_a_damaged_value_is_a_sentence(cut: str) -> None:
    prefix = parse_keys(ONE).current_prefix
    with pytest.raises(DamagedSecretError, match="damaged"):
        parse_keys(ONE).decrypt(f"{prefix}{cut}", "row 1")


def test_without_keys_nothing_is_written_and_plain_values_are_read() -> None:
    with pytest.raises(EncryptionError, match="COUPONRY_ENCRYPTION_KEYS=none"):
        Keyring().encrypt("s", "row 1")
    assert Keyring().decrypt("whsec_abc", "row 1") == "whsec_abc"
    assert parse_keys("none").encrypt("s", "row 1") == "s"
    with pytest.raises(EncryptionError, match="begins with"):
        parse_keys("none").encrypt("enc:v1:abc", "row 1")


@pytest.mark.parametrize(
    "text", ["", " , ", "abc", base64.b64encode(b"x" * 31).decode(), "é" * 44, f"{ONE},nonsense", ",".join([ONE] * 21)]
)
def test_an_invalid_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(EncryptionError, match="COUPONRY_ENCRYPTION_KEYS") as caught:
        parse_keys(text)
    assert ONE not in str(caught.value)
    assert "nonsense" not in str(caught.value)


@pytest.mark.parametrize("text", [ONE, ONE.replace("-", "+").replace("_", "/"), ONE.rstrip("="), f" {ONE} "])
def test_both_alphabets_of_base64_are_accepted(text: str) -> None:
    assert parse_keys(text).decrypt(parse_keys(ONE).encrypt("s", "r"), "r") == "s"
