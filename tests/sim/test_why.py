"""Why this path: the journal's part, the engine's part, and questions without an answer."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from patronus.engine.forwarding import NO_ROW
from patronus.engine.units import MS, SECOND
from patronus.sim import load, run
from patronus.sim.alternatives import Alternative, Alternatives
from patronus.sim.api import make_world
from patronus.sim.run import Run
from patronus.sim.scenario import Scenario
from patronus.sim.why import Question, Unrepeatable, WhyError, history, questions, repeat

SCENARIO = """\
version: 1
topology: {sites: [hub, berlin, rome], hubs: [hub]}
transports:
  mpls: {provider: ring}
  broadband: {cost: 5}
  lte:
destinations: {internet: [hub, berlin]}
policy:
  classes:
    voice: {match: [{dscp: ef}], prefer: [mpls], forbid: [lte]}
    rest: {}
duration: 8s
traffic:
  - {class: voice, from: all, to: all, rate: 100kbps}
faults:
  - {kind: blackhole, name: cut, at: 2s, for: 3s, on: {site: rome, transport: mpls}}
  - {kind: drain, name: work, at: 1s, on: {site: berlin, transport: broadband}}
"""


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    path = tmp_path_factory.mktemp("why") / "cut.patronus.yml"
    path.write_text(SCENARIO)
    return load(path)


@pytest.fixture(scope="module")
def done(scenario: Scenario) -> Run:
    return run(scenario)


@pytest.fixture(scope="module")
def engine(done: Run) -> Alternatives:
    """Return what the engine says three seconds after the start."""
    return repeat(done, 3 * SECOND)


def test_the_decision_in_force(done: Run) -> None:
    """The last decision until then is in force; the one after it is the next."""
    [question] = questions(done, "rome", "hub", "voice", 3 * SECOND)
    told = history(done, question)
    assert told.in_force is not None
    assert told.in_force.from_path == "mpls>hub"
    assert 2 * SECOND < told.in_force.t_ns < 3 * SECOND
    before = history(done, replace(question, at_ns=2 * SECOND))
    assert before.in_force is None
    assert before.after == told.in_force
    just = history(done, replace(question, at_ns=told.in_force.t_ns))
    assert just.in_force == told.in_force


def test_old_decisions_are_counted(done: Run) -> None:
    """Three decisions are told, the ones before are counted."""
    lines = tuple(
        line.replace(b'"t_ns":', b'"t_ns":%d' % i)
        for i, line in enumerate([done.journal[0]] * 5, start=1)
    )
    many = replace(done, journal=lines)
    first = history(done, Question("?", "?", "?", 0))
    assert (first.before, first.after, first.earlier) == ((), None, 0)
    row = done.decisions.iloc[0]
    question = Question(row["site"], row["destination"], row["class"], 10**18)
    told = history(many, question)
    assert (len(told.before), told.earlier) == (3, 2)


def test_every_class_is_meant_unless_one_is_named(done: Run) -> None:
    """Without a class there is a question for each, at the end of the run by default."""
    asked = questions(done, "rome", "internet", None, None)
    assert [q.traffic_class for q in asked] == ["rest", "voice"]
    assert {q.at_ns for q in asked} == {8 * SECOND}


@pytest.mark.parametrize(
    ("site", "to", "name", "at_ns", "message"),
    [
        ("roma", "hub", "voice", None, "no site 'roma'; did you mean `rome`"),
        ("rome", "hubb", "voice", None, "no destination 'hubb'; did you mean `hub`"),
        ("rome", "hub", "vioce", None, "no class 'vioce'; did you mean `voice`"),
        ("rome", "rome", "voice", None, "from rome to itself takes no path"),
        ("rome", "hub", "voice", 9 * SECOND, "the run ended at 8 s"),
        ("x", "hub", "voice", None, "no site 'x'; there are hub, berlin, rome"),
    ],
)
def test_questions_without_an_answer(
    done: Run, site: str, to: str, name: str, at_ns: int | None, message: str
) -> None:
    """A name that does not exist, or a time after the end, is told with what there is."""
    with pytest.raises(WhyError, match=message):
        questions(done, site, to, name, at_ns)


def named(found: Sequence[Alternative]) -> dict[str, Alternative]:
    return {a.path: a for a in found}


def test_alternatives_of_a_cut(engine: Alternatives) -> None:
    """While mpls is cut, the chosen path is told first, and each other one says why not."""
    found = engine.of("rome", "hub", "voice")
    assert found[0].chosen
    assert found[0].used
    assert found[0].why == ""
    paths = named(found)
    assert paths["mpls>hub"].state == "down"
    assert paths["mpls>hub"].why == "its tunnel is down"
    assert paths["lte>hub"].why == "the class forbids lte"
    assert paths["broadband>hub"].chosen
    assert all(a.why for a in found[1:])


def test_alternatives_are_ranked(engine: Alternatives) -> None:
    """Preference, cost, drains, order of the destination and transit are told by name."""
    paths = named(engine.of("hub", "rome", "rest"))
    assert paths["lte>rome"].chosen
    assert paths["broadband>rome"].why == "its transport costs more"
    away = named(engine.of("rome", "berlin", "rest"))
    assert away["broadband>berlin"].why == "its tunnel is drained"
    assert away["lte>hub>berlin"].why == "it goes through another site"
    shared = named(engine.of("rome", "internet", "rest"))
    assert shared["lte>berlin"].why == "its site comes later in the order of the destination"


def test_figures_of_a_way_add_up(engine: Alternatives) -> None:
    """A path through another site has the figures of both tunnels as believed."""
    direct = named(engine.of("rome", "hub", "rest"))["lte>hub"]
    transit = named(engine.of("rome", "berlin", "rest"))["lte>hub>berlin"]
    assert transit.rtt_ns > direct.rtt_ns > MS
    assert transit.loss_ppm >= direct.loss_ppm >= 0


def test_unknown_names_have_no_alternatives(engine: Alternatives) -> None:
    """What the world does not know is a KeyError."""
    for words in (("x", "hub", "rest"), ("rome", "x", "rest"), ("rome", "hub", "x")):
        with pytest.raises(KeyError):
            engine.of(*words)


@pytest.mark.parametrize("at_ms", [10, 2400, 3000, 5100, 7990])
def test_the_chosen_path_is_what_the_tables_say(scenario: Scenario, at_ms: int) -> None:
    """Chosen, used and backups are those of the engine's and the dataplane's own tables."""
    world = make_world(replace(scenario, duration_ns=at_ms * MS), 1)
    world.run()
    engine, space = Alternatives(world), world.engine.space
    classes = engine.classes()
    for entry in range(space.entries):
        site, to, number = space.key(entry)
        target = world.overlay.destinations[to]
        if site in target.sites:
            continue
        found = engine.of(world.overlay.sites[site], target.name, classes[number])
        wanted = world.engine.steering.wanted.rows[entry]
        assert [a.chosen for a in found].count(True) == int(wanted[0] != NO_ROW)
        assert found[0].used == (int(world.dataplane.used[entry]) == int(wanted[0]))
        assert {a.backup for a in found} - {0} == {i for i in (1, 2) if wanted[i] != NO_ROW}
        rest = [a.key for a in found[1:]]
        assert all(one <= two for one, two in pairwise(rest))


def test_a_run_of_code_cannot_be_made_again(done: Run) -> None:
    """Without a file there is nothing to make it from."""
    with pytest.raises(Unrepeatable, match="built in code"):
        repeat(replace(done, summary={**done.summary, "path": ""}), SECOND)


def test_a_scenario_that_is_gone(done: Run, tmp_path: Path) -> None:
    """A file that is not there any more is told by its name."""
    lost = replace(done, summary={**done.summary, "path": str(tmp_path / "gone.patronus.yml")})
    with pytest.raises(Unrepeatable, match=r"gone\.patronus\.yml: no such file"):
        repeat(lost, SECOND)


def test_a_scenario_that_has_changed(done: Run, tmp_path: Path) -> None:
    """Alternatives of another run are not passed off as those of this one."""
    path = tmp_path / "cut.patronus.yml"
    path.write_text(SCENARIO.replace("at: 2s", "at: 2100ms"))
    other = replace(done, summary={**done.summary, "path": str(path)})
    repeat(other, SECOND // 2)  # until then nothing differs
    with pytest.raises(Unrepeatable, match="has changed since"):
        repeat(other, 3 * SECOND)


def test_settings_are_applied_again(scenario: Scenario) -> None:
    """A run made with settings is made again with them."""
    changed = run(load(scenario.path, ["faults.0.at=2100ms"]))
    summary = {**changed.summary, "settings": ["faults.0.at=2100ms"]}
    assert repeat(replace(changed, summary=summary), 3 * SECOND).classes() == ["voice", "rest"]
