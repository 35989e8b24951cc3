import pytest
from starlette.responses import Response

from sema_common.values.errors import Refused
from sema_main_api.http.requests import Request
from sema_main_api.http.routing import Operation, RouteTable, bind


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


def test_a_path_with_a_nul_names_nothing() -> None:
    """Postgres refuses a NUL in any text, which would be a 500."""

    async def handler(*_: object) -> Response:
        return Response()

    table = RouteTable(bind([Operation("DELETE", "/v1/names/{name}", handler, "End a name", "Names")], None))
    assert table.find("DELETE", "/v1/names/a")[1] == {"name": "a"}
    with pytest.raises(Refused) as refused:
        table.find("DELETE", "/v1/names/a\0b")
    assert refused.value.status == 404
