"""Shipped scenarios keep their promises, and do what was agreed when somebody last looked.

``make goldens`` accepts what all of them do now.
"""

import pytest

from patronus.sim import api
from patronus.sim.golden import compare, golden_of, golden_path, read_golden
from tests.scenarios.catalogue import FOLDER, NAMES, failing, path_of, shipped


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_does_what_was_agreed(name: str) -> None:
    """Every expectation is met; decisions and figures are those of the golden."""
    run = api.run(shipped(name))
    assert failing(run) == []
    assert run.summary["verdict"] == "pass"
    golden = read_golden(golden_path(str(path_of(name))))
    assert golden is not None
    found = compare(golden, golden_of(run))
    assert not found, "\n".join([*found.where, *map(str, found.figures), "see `make goldens`"])


def test_every_scenario_has_a_golden_and_no_other_has() -> None:
    """What a new scenario does is agreed to like that of the others; what is gone leaves none."""
    goldens = {path.name.removesuffix(".golden.json") for path in FOLDER.glob("*.golden.json")}
    assert goldens == set(NAMES)
