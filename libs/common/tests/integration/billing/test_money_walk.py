"""docs/money.md tells what happens: it is written by a run on a real database."""

from pathlib import Path

from sema_common.platform.db import Database
from tests.kit.money_walk import walk

PAGE = Path(__file__).parents[5] / "docs" / "money.md"


async def test_the_page_about_money_is_what_a_run_writes(api: Database, tmp_path: Path) -> None:
    written = tmp_path / "money.md"
    written.write_text(await walk(api))
    assert PAGE.read_text() == written.read_text(), f"the page is another: cp {written} docs/money.md"
