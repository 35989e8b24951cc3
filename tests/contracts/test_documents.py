"""What is written from the code says what the code says, and the OpenAPI document is one."""

import json
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from deploy.documents import DOCUMENTS

ROOT = Path(__file__).parents[2]
OPENAPI = "docs/openapi.json"


def told(path: str, text: str) -> object:
    """What of a document must be current: a release changes the version and nothing else."""
    if path != OPENAPI:
        return text
    document = json.loads(text)
    document["info"].pop("version")
    return document


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_generated_document_is_current(path: str) -> None:
    same = told(path, (ROOT / path).read_text()) == told(path, DOCUMENTS[path]())
    assert same, f"{path} is stale: run `make openapi`"


def test_the_openapi_document_is_valid_and_tells_of_webhooks() -> None:
    document = json.loads((ROOT / OPENAPI).read_text())
    validate(document)
    assert list(document["webhooks"]) == [
        "message.sent",
        "message.delivered",
        "message.failed",
        "message.expired",
        "campaign.completed",
        "campaign.rejected",
        "balance.low",
    ]
