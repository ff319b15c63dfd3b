"""The published schema and the page: valid, complete, and of one mind with the reader."""

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from patronus.control.config import schema
from tests.control.command import patronus
from tests.control.config.files import EXAMPLE, PAGE, SMALL, changed
from tests.control.config.test_mistakes import MISTAKES

VALIDATOR = Draft202012Validator(schema())

STRUCTURAL = (
    "unknown key", "key too short", "key no base64", "MTU below all", "no unit", "unknown profile",
    "unknown kind", "address with a mask", "long interface", "on is no change", "role", "missing",
)  # fmt: skip
"""Mistakes that an editor can see without knowing what else stands in the file."""


def errors(text: str) -> list[Any]:
    """Return what the schema has against a text."""
    return list(VALIDATOR.iter_errors(YAML(typ="safe", pure=True).load(text)))


def test_the_schema_is_valid() -> None:
    """The schema obeys its own specification, is plain JSON, and is what the command prints."""
    Draft202012Validator.check_schema(schema())
    assert json.loads(json.dumps(schema())) == schema()
    told = patronus("schema", "--agent")
    assert (told.exit_code, json.loads(told.stdout)) == (0, schema())


@pytest.mark.parametrize("text", [EXAMPLE, SMALL], ids=["page", "small"])
def test_good_files_are_valid(text: str) -> None:
    """What the reader takes, the schema takes."""
    assert errors(text) == []


@pytest.mark.parametrize("name", STRUCTURAL)
def test_structural_mistakes_are_invalid(name: str) -> None:
    """What the reader refuses by its form alone, the schema refuses."""
    assert errors(changed(MISTAKES[name][0]))


def test_every_key_is_described_and_on_the_page() -> None:
    """An editor has a sentence for every key, and an agent's own keys are told on the page."""
    records = {"agent": schema(), **schema()["$defs"]}
    shared = {"class", "match", "sla", "policy", "damping", "margin", "features", "liveness"}
    for name, record in records.items():
        for key, value in record["properties"].items():
            assert value.get("description", "").endswith((".", "…")), key
            assert name in shared or re.search(rf"(?<!\w){key}(?!\w)", PAGE), key
    assert shared < records.keys()
