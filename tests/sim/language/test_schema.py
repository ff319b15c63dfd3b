"""The published JSON Schema: valid, complete, and of one mind with the reader."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from patronus.sim.language import schema
from patronus.sim.language.faults import USES
from patronus.sim.scenario import FaultKind

EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.patronus.yml"))
VALIDATOR = Draft202012Validator(schema())

STRUCTURAL = {
    "a list at the top", "text at the top", "no version", "another version", "unknown key",
    "number without unit", "unit with a space", "unknown unit", "unit in the wrong case",
    "negative delay", "not a number", "infinite", "half a place", "seed is no number",
    "seed too large", "list where a mapping belongs", "nothing after the colon", "misspelt fault",
    "a field the kind does not use", "a needed field is missing", "corruption has a share",
    "not selected so", "no direction", "no time", "no target", "unknown mode", "no objects",
    "not a link", "no sites", "one site", "one listed site", "word for a number of sites",
    "a site called like a word", "a site called 12", "unknown shipped profile",
    "unknown liveness", "unknown DSCP", "impossible score", "feature that does not exist",
}  # fmt: skip
"""Golden mistakes that an editor can see without knowing the network."""


def loaded(text: str) -> Any:
    """Return a text as an editor's YAML reader has it."""
    return YAML(typ="safe", pure=True).load(text)


def test_the_schema_is_valid() -> None:
    """The schema obeys its own specification and is plain JSON."""
    Draft202012Validator.check_schema(schema())
    assert json.loads(json.dumps(schema())) == schema()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_good_examples_are_valid(path: Path) -> None:
    """What the reader takes, the schema takes."""
    assert list(VALIDATOR.iter_errors(loaded(path.read_text(encoding="utf-8")))) == []


def golden() -> dict[str, str]:
    """Return the files of the golden mistakes, completed, by name."""
    from tests.sim.language.test_mistakes import completed, golden_cases

    return {name: completed(name, body) for name, body, _ in golden_cases()}


@pytest.mark.parametrize("name", sorted(STRUCTURAL))
def test_structural_mistakes_are_invalid(name: str) -> None:
    """What the reader refuses by its form alone, the schema refuses."""
    assert list(VALIDATOR.iter_errors(loaded(golden()[name])))


def test_every_key_is_described() -> None:
    """An editor has a sentence to show for every key."""
    records = [schema(), *schema()["$defs"].values()]
    bare = [
        key
        for record in records
        for key, value in record["properties"].items()
        if not value.get("description", "").endswith((".", "…"))
    ]
    assert bare == []
    assert sum(len(record["properties"]) for record in records) > 120


def test_every_definition_is_used() -> None:
    """The schema carries nothing that nothing refers to."""
    text = json.dumps(schema())
    assert [name for name in schema()["$defs"] if f'"#/$defs/{name}"' not in text] == []
    assert "$comment" not in text


@pytest.mark.parametrize("kind", FaultKind)
def test_each_fault_kind_is_told_apart(kind: FaultKind) -> None:
    """For each kind the schema asks for what it needs and allows nothing that it ignores."""
    uses = USES[kind]
    sample = {
        "loss": "3%", "share": "1%", "delay": "5ms", "jitter": "5ms", "rate": "1Mbps", "mtu": 900,
        "jump": "-1s", "up": "1s", "down": "1s", "spacing": "1s", "mute": "1s", "policy": {},
        "burst": {"gap": "1s", "length": "1s", "loss": "5%"},
    }  # fmt: skip
    on = {next(iter(sorted(uses.on - {"direction"}))): "a"}
    if "link" in uses.on:
        on = {"site": "a"}
    good = {"kind": str(kind), "at": "1s", "on": on} | {key: sample[key] for key in uses.needs}
    check = VALIDATOR.evolve(schema={**schema()["$defs"]["fault"], "$defs": schema()["$defs"]})
    assert check.is_valid(good)
    for key in uses.needs:
        assert not check.is_valid({k: v for k, v in good.items() if k != key})
    for key in sample.keys() - uses.quantities:
        assert not check.is_valid({**good, key: sample[key]})
