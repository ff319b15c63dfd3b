"""Everything that a scenario can hold can be written, and what is left out means its default."""

from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from patronus.engine.policy import Damping, Features, LivenessProfile, Policy, SlaClass
from patronus.engine.units import MS, NEVER, SECOND
from patronus.sim.language import load, parse
from patronus.sim.language.faults import FAULT, SELECT
from patronus.sim.language.grammar import SCENARIO
from patronus.sim.language.mistakes import Source
from patronus.sim.language.network import CONTROL, LINE, SITE, TOPOLOGY, TRAFFIC, TRANSPORT
from patronus.sim.language.policy import DAMPING, FEATURES, MARGIN, MATCH, POLICY, SLA
from patronus.sim.language.profiles import SHIPPED
from patronus.sim.language.records import Record
from patronus.sim.language.shapes import Reading
from patronus.sim.language.tree import parse as parse_tree
from patronus.sim.scenario import (
    ControlSpec,
    FaultKind,
    FaultSpec,
    LinkProfile,
    Mesh,
    Scenario,
    Selector,
    SiteSpec,
    TopologySpec,
    TrafficSpec,
    TransportSpec,
)  # fmt: skip

EXAMPLES = Path(__file__).parent / "examples"
GIVEN = "version: 1\ntopology: {sites: 3}\ntransports: [mpls]\n"


def records(value: Any) -> Iterator[Any]:
    """Yield every record within a scenario."""
    if is_dataclass(value):
        yield value
        for one in fields(value):
            yield from records(getattr(value, one.name))
    elif isinstance(value, dict):
        yield from (record for item in value.values() for record in records(item))
    elif isinstance(value, tuple):
        yield from (record for item in value for record in records(item))


def default_of(one: Any) -> Any:
    """Return the default of a field of a record."""
    return one.default if one.default_factory is MISSING else one.default_factory()


def test_every_field_can_be_written() -> None:
    """Some file sets each field of each record to something that is not its default."""
    texts = (
        GIVEN.replace("{sites: 3}", "{sites: 3, map: abilene}"),
        GIVEN.replace("[mpls]", "{mpls: {provider: geo}, lte: {provider: map:abilene}}"),
        GIVEN.replace("{sites: 3}", "{sites: 9, mesh: partial-mesh, degree: 3}"),
        GIVEN.replace("{sites: 3}", "{sites: [a, b], hubs: 1, mesh: pairs, pairs: [[a, b]]}"),
        GIVEN + "classes: {default: {pin: on, sla: {mtu: 1400}}}",
        GIVEN
        + "faults:\n  - {kind: loss, at: 1s, for: 1s, every: 2s, loss: 1%, on: {link: 'mpls:*'}}",
    )
    scenarios = [load(EXAMPLES / "everything.patronus.yml"), *map(parse, texts)]
    seen = [record for scenario in scenarios for record in records(scenario)]
    kinds = {type(record) for record in seen}
    assert len(kinds) == 21
    never = [
        f"{kind.__name__}.{one.name}"
        for kind in kinds
        for one in fields(kind)
        if all(getattr(r, one.name) == default_of(one) for r in seen if type(r) is kind)
    ]
    assert never == []


def test_every_choice_can_be_written() -> None:
    """Every mesh and every kind of fault has its word."""
    scenario = load(EXAMPLES / "everything.patronus.yml")
    words = schema_words()
    assert {str(kind) for kind in FaultKind} <= words
    assert {str(mesh) for mesh in Mesh} <= words
    assert len({fault.kind for fault in scenario.faults}) == 17


def schema_words() -> set[str]:
    """Return the words of the language's choices of meshes and kinds."""
    shapes = TOPOLOGY.fields["mesh"].shape, FAULT.fields["kind"].shape
    return {word for shape in shapes for word in shape.schema({})["enum"]}


DEFAULTS = [
    (SCENARIO, Scenario), (TOPOLOGY, TopologySpec), (SITE, SiteSpec), (LINE, LinkProfile),
    (TRANSPORT, TransportSpec), (TRAFFIC, TrafficSpec), (CONTROL, ControlSpec),
    (POLICY, Policy), (MARGIN, Policy), (DAMPING, Damping), (FEATURES, Features),
    (SLA, SlaClass), (MATCH, SlaClass), (FAULT, FaultSpec), (SELECT, Selector),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "kind"), DEFAULTS, ids=lambda v: getattr(v, "name", ""))
def test_the_defaults_that_are_told_are_true(shape: Record, kind: Any) -> None:
    """A default in the schema, read as if it were written, is the record's own."""
    own = {one.name: default_of(one) for one in fields(kind)}
    for key in shape.fields.values():
        if key.default and key.into:
            node = parse_tree(key.default, Source("default"), [])
            assert node is not None
            assert key.shape.read(node, Reading()) == own[key.into], key.name


def test_a_scenario_of_three_lines_has_all_defaults() -> None:
    """What is left out is what the records say."""
    scenario = parse(GIVEN, "x")
    assert scenario == Scenario(
        name="x",
        topology=TopologySpec(count=3),
        transports=scenario.transports,
        policy=Policy(liveness={"mpls": LivenessProfile("wan", 100 * MS, 3)}),
        path="x",
    )


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_stands_by_its_name(name: str) -> None:
    """Naming a profile gives its links, its carrier and its liveness."""
    scenario = parse(GIVEN.replace("mpls", name))
    (transport,) = scenario.transports
    shipped = SHIPPED[name]
    assert (transport.up, transport.down, transport.core) == (
        shipped.up, shipped.down, shipped.core,
    )  # fmt: skip
    assert scenario.policy.profile(name).name == shipped.liveness


def test_profiles_are_worse_from_mpls_to_satellite_where_they_should_be() -> None:
    """Delay, noise and loss rank the shipped profiles as an engineer expects."""
    order = [SHIPPED[name].up for name in ("mpls", "broadband", "lte", "satellite")]
    for this, following in pairwise(order):
        assert this.delay_ns < following.delay_ns
        assert this.loss_ppm < following.loss_ppm
    assert all(link.jitter_ns <= link.delay_ns for link in order)
    assert order[0].burst is None
    assert all(link.burst for link in order[1:])


def test_a_schedule_repeats_until_the_end_unless_told() -> None:
    """Once without ``every`` and ``random``, else endlessly unless ``times`` says so."""
    text = GIVEN + (
        "faults:\n"
        "  - {kind: blackhole, at: 1s, on: {site: site1}}\n"
        "  - {kind: blackhole, at: 1s, for: 1s, every: 9s, on: {site: site1}}\n"
        "  - {kind: blackhole, for: 1s, random: 9s, times: 2, on: {site: site1}}\n"
    )
    once, every, twice = (fault.schedule for fault in parse(text).faults)
    assert (once.for_ns, once.times) == (NEVER, 1)
    assert (every.every_ns, every.times) == (9 * SECOND, 0)
    assert (twice.random_mean_ns, twice.times, twice.at_ns) == (9 * SECOND, 2, 0)


def test_faults_are_named_by_kind_and_position() -> None:
    """A name that is left out is made; one that is given does not shift the others."""
    text = GIVEN + (
        "faults:\n"
        "  - {kind: blackhole, at: 1s, on: {site: site1}}\n"
        "  - {kind: drain, at: 1s, on: {site: site1}}\n"
        "  - {kind: blackhole, name: cut, at: 1s, on: {site: site1}}\n"
        "  - {kind: blackhole, at: 1s, on: {site: site1}}\n"
    )
    names = [fault.name for fault in parse(text).faults]
    assert names == ["blackhole-1", "drain-1", "cut", "blackhole-3"]


def test_words_of_yaml_1_1_are_names() -> None:
    """NO, on and 1e3 in quotes are names; the catch-all class comes last."""
    text = (
        "version: 1\ntopology: {sites: [NO, on, '1e3']}\ntransports: [mpls]\n"
        "classes: {rest: {}, voice: {match: {dscp: ef}}}\n"
    )
    scenario = parse(text)
    assert [site.name for site in scenario.topology.sites] == ["NO", "on", "1e3"]
    assert [c.name for c in scenario.policy.classes] == ["voice", "rest"]
