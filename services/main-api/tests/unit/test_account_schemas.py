import pytest
from pydantic import ValidationError

from sema_main_api.accounts.schemas import ChangeKey


@pytest.mark.parametrize(
    "network", ["fe80::1%eth0", "fe80::%1/64", "::ffff:203.0.113.0/120", "203.0.113.1/24"]
)
def test_a_network_that_no_key_can_be_bound_to_is_refused(network: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ChangeKey(allowed_networks=[network])
    assert [error["type"] for error in refused.value.errors()] == ["invalid_network"]


def test_networks_are_kept_in_their_one_form() -> None:
    assert ChangeKey(allowed_networks=["2001:DB8::/32"]).allowed_networks == ["2001:db8::/32"]
