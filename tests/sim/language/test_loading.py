"""What loading costs, how scenarios are named, and which names generated sites have."""

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from patronus.sim.language import ScenarioError, load, parse
from patronus.sim.language.loading import stem
from patronus.sim.topology.sites import hub_names, site_names

EXAMPLES = Path(__file__).parent / "examples"


def test_loading_brings_no_numbers_along() -> None:
    """An ordinary file is read without NumPy, pandas, networkx or a map."""
    code = (
        "import sys; from patronus.sim.language import parse\n"
        "parse('version: 1\\ntopology: {sites: 50, hubs: 2, mesh: hub-and-spoke}\\n'\n"
        "      'transports: [mpls]\\nfaults: [{kind: drain, at: 1s, on: {site: hub1}}]')\n"
        "print(sorted(m for m in sys.modules if m in {'numpy', 'pandas', 'networkx', 'simpy'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("path", "name"),
    [("a/b.patronus.yml", "b"), ("b.yml", "b"), ("b", "b"), ("x.y.patronus.yml", "x.y")],
)
def test_a_scenario_is_named_like_its_file(path: str, name: str) -> None:
    """A scenario without a name has its file's."""
    assert stem(path) == name


def test_the_path_is_kept() -> None:
    """A scenario knows its file, its expectations their lines, its faults their places."""
    path = str(EXAMPLES / "short.patronus.yml")
    scenario = load(path)
    assert (scenario.path, scenario.name) == (path, "short")
    assert [(e.text, e.line) for e in scenario.expectations] == [
        ("failover.p99 < 1s", 18), ("loops == 0", 19),
    ]  # fmt: skip
    assert scenario.faults[0].place == f"{path}:12:5"


def test_a_useful_scenario_takes_twenty_lines() -> None:
    """The shortest example has classes, traffic, a fault and expectations."""
    text = (EXAMPLES / "short.patronus.yml").read_text(encoding="utf-8")
    scenario = parse(text)
    assert len(text.splitlines()) <= 20
    assert scenario.faults
    assert scenario.traffic
    assert scenario.expectations
    assert scenario.policy.classes[0].matches


@pytest.mark.parametrize(
    "topology",
    [
        "{sites: 4}",
        "{sites: 4, hubs: 2, mesh: hub-and-spoke}",
        "{sites: 6, hubs: 3, regions: 3, mesh: regional-hubs}",
        "{sites: 2, hubs: 2}",
        "{sites: [a, b, c]}",
        "{sites: [a, b, c], hubs: 2}",
        "{sites: [a, b, c], hubs: [c]}",
        "{sites: [a, {name: b, hub: on}]}",
        "{map: abilene, hubs: 2}",
        "{map: abilene, sites: 5}",
    ],
)
def test_the_names_are_those_of_the_topology(topology: str) -> None:
    """Every name that the topology gives can be selected, each hub as a hub, and no other."""
    head = f"version: 1\ntopology: {topology}\ntransports: [mpls]\n"
    spec = parse(head).topology
    names, hubs = site_names(spec), set(hub_names(spec))
    for name in names:
        fault = f"faults: [{{kind: drain, at: 1s, on: {{site: '{name}'}}}}]\n"
        assert parse(head + fault).faults[0].select.sites == (name,)
    sets = {"hubs": bool(hubs), "spokes": bool(set(names) - hubs), "nowhere": False}
    for word, known in sets.items():
        fault = f"faults: [{{kind: drain, at: 1s, on: {{site: {word}}}}}]\n"
        with nullcontext() if known else pytest.raises(ScenarioError, match=word):
            parse(head + fault)
