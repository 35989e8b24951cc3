import pytest

from sema_common.values.errors import Refused
from sema_main_api.http.requests import Request


def asked(number: str) -> Request:
    async def nothing() -> dict[str, str]:
        return {"type": "http.request"}

    async def nobody(_: object) -> None: ...

    scope = {"type": "http", "method": "DELETE", "path": "/", "headers": [], "path_params": {"id": number}}
    return Request(scope, nothing, nobody, {}, "req_1", 0)


def test_a_number_in_a_path_is_read() -> None:
    assert asked("42").path_number() == 42


@pytest.mark.parametrize("number", ["x", "-1", "1.0", "٣", "²", str(1 << 63), "9" * 5000])
def test_what_numbers_no_row_is_not_found(number: str) -> None:
    """int() refuses more than 4300 digits by an error of its own, which would be a 500."""
    with pytest.raises(Refused) as refused:
        asked(number).path_number()
    assert refused.value.status == 404
