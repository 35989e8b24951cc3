import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sema_common.platform.secrets import SecretBox, signing_keys


def test_what_was_sealed_opens_again_and_does_not_show() -> None:
    box = SecretBox(SecretBox.new_key())
    sealed = box.seal("whsec_abc")
    assert b"whsec_abc" not in sealed
    assert box.open(sealed) == "whsec_abc"


def test_a_new_key_in_front_still_opens_what_the_old_one_sealed() -> None:
    old, new = SecretBox.new_key(), SecretBox.new_key()
    sealed = SecretBox(old).seal("s")
    box = SecretBox(f"{new}, {old}")
    assert box.open(sealed) == "s"
    with pytest.raises(ValueError, match="none of the keys"):
        SecretBox(old).open(box.seal("s"))


def test_a_changed_secret_does_not_open() -> None:
    box = SecretBox(SecretBox.new_key())
    sealed = bytearray(box.seal("s"))
    sealed[-1] ^= 1
    with pytest.raises(ValueError, match="none of the keys"):
        box.open(bytes(sealed))


@pytest.mark.parametrize("keys", ["", " , ", "short", "not base64 at all!!"])
def test_keys_of_another_shape_are_refused(keys: str) -> None:
    with pytest.raises(ValueError, match="key"):
        SecretBox(keys)


def pem(key: Ed25519PrivateKey | X25519PrivateKey) -> str:
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return base64.b64encode(text).decode()


def test_signing_keys_come_in_the_order_in_which_they_are_listed() -> None:
    first, second = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    keys = signing_keys(f"{pem(first)}, {pem(second)}")
    assert [key.private_bytes_raw() for key in keys] == [
        first.private_bytes_raw(),
        second.private_bytes_raw(),
    ]


@pytest.mark.parametrize(
    "text", ["", "nonsense", "!!", base64.b64encode(b"no pem").decode(), pem(X25519PrivateKey.generate())]
)
def test_signing_keys_of_another_kind_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="key"):
        signing_keys(text)
