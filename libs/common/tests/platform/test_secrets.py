import pytest

from sema_common.platform.secrets import SecretBox


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
