"""A study against runs of their own, and what becomes of one that goes wrong."""

import os
import select
import signal
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from patronus.engine.units import SECOND
from patronus.sim.crew import CrewError
from patronus.sim.language import ScenarioError, load
from patronus.sim.whatif.nursery import Finished, NotConverged, Plan
from patronus.sim.whatif.orders import T0_NS, Orders, WhatIfError, prepare
from patronus.sim.whatif.outcome import Died, Outcome
from patronus.sim.whatif.study import Study
from tests.sim.whatif.nurseries import SCENARIO, Doomed, orders, scenario
from tests.sim.whatif.separate import Studied, differences, study

PICKED = (
    "link.s1.mpls",
    "transport.h1.mpls",
    "provider-link.mpls_pop2-pop3",
    "provider.mpls",
    "group.duct",
    "site.h1",
    "transport.s2.broadband+transport.s2.mpls",
)
"""One of each kind, and a pair that cuts a branch off."""


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Studied:
    """Study one failure of each kind."""
    return study(scenario(tmp_path_factory.mktemp("study")), jobs=2, picked=PICKED)


def outcome(studied: Studied, name: str) -> Outcome:
    """Return what came of a failure that did not die."""
    found = studied.results[name]
    assert isinstance(found, Outcome)
    return found


def test_a_study_tells_what_runs_of_their_own_tell(studied: Studied, tmp_path: Path) -> None:
    """Exposure by exposure, and class by class second by second; the files are ordinary."""
    assert list(studied.failures) == list(PICKED)
    assert sum(outcome(studied, name).exposures for name in PICKED) > 50
    assert list(differences(studied, tmp_path)) == []


def test_over_long_ways_children_begin_in_the_warm_up(tmp_path: Path) -> None:
    """Where packets are under way for more than a second, a failure is as exact."""
    slow = 'mpls: {provider: "ring:4", up: {delay: 600ms}, down: {delay: 600ms}}'
    text = SCENARIO.replace('mpls: {provider: "ring:4"}', slow).replace("150ms", "3s")
    path = scenario(tmp_path, text.replace("duration: 30s", "warmup: 9s"))
    done = study(path, picked=("link.s1.mpls",))
    assert outcome(done, "link.s1.mpls").exposures > 0
    assert list(differences(done, tmp_path)) == []


def test_the_comparison_sees_differences(studied: Studied, tmp_path: Path) -> None:
    """An exposure, a class and a failure that are wrong are found."""
    good = outcome(studied, "link.s1.mpls")
    assert good.frame is not None
    frame = good.frame.assign(switch_ns=good.frame["switch_ns"] + 1)
    voice = replace(good.classes["voice"], flow_s=good.classes["voice"].flow_s + 1)
    wrong: list[Outcome | Died] = [
        replace(good, frame=frame),
        replace(good, frame=good.frame.iloc[1:]),
        replace(good, classes={**good.classes, "voice": voice}),
        Died(good.id, "it fell over"),
    ]
    for result in wrong:
        planted = replace(
            studied,
            failures={good.id: studied.failures[good.id]},
            results={good.id: result},
        )
        assert len(list(differences(planted, tmp_path))) == 1


def test_what_failures_do(studied: Studied) -> None:
    """A cut is over in a second, a branch that is cut off stays out, a dead site takes its own."""
    cut = outcome(studied, "link.s1.mpls")
    assert (cut.settled, cut.until_ns < 4 * SECOND, cut.still) == (True, True, 0)
    assert cut.carried > 0
    assert cut.verified == ("yes",)
    alone = outcome(studied, "transport.s2.broadband+transport.s2.mpls")
    assert alone.still > 0
    assert alone.classes["voice"].places[0].still
    assert "s2" in alone.sites
    dead = outcome(studied, "site.h1")
    assert dead.gone > 0
    assert dead.exposures == dead.carried == 0 or dead.unavoidable > 0


def test_expectations_are_judged_on_each_failure(studied: Studied) -> None:
    """The one that speaks of the scenario's own fault is left out, the other is judged."""
    judged = {name: outcome(studied, name).judged for name in PICKED}
    assert {j.text for of in judged.values() for j in of} == {"failover.max < 250ms"}
    assert "fail" in {j.verdict for of in judged.values() for j in of}


def test_failures_end_when_all_is_at_rest(tmp_path: Path) -> None:
    """What is watched in full agrees with what was watched until it came to rest."""
    path = scenario(tmp_path)
    picked = ("link.s1.mpls", "provider-link.broadband_pop1-pop2")
    results = []
    for full in (False, True):
        with Study(orders(path, full=full, picked=picked)) as asking:
            results.append([m for m in asking.messages() if isinstance(m, Outcome)])
    for early, late in zip(*results, strict=True):
        assert early.until_ns < late.until_ns == 4 * SECOND
        assert early.settled
        assert not late.settled
        assert early.exposures == late.exposures
        seconds = early.until_ns // SECOND
        for name, harm in early.classes.items():
            assert late.classes[name].by_second[:seconds] == harm.by_second


def test_a_child_that_dies_is_told_of(tmp_path: Path) -> None:
    """One is killed and one breaks; the others come to their end."""
    asked = orders(scenario(tmp_path), picked=("link.s1.mpls",))
    doomed = Doomed(asked.scenario, asked.seed, picked=asked.picked, jobs=2)
    with Study(doomed) as asking:
        heard = list(asking.messages())
    assert isinstance(heard[-1], Finished)
    died = {m.id: m.why for m in heard if isinstance(m, Died)}
    assert "SIGKILL" in died["deadly"]
    assert "atlantis" in died["nowhere"]
    assert [m.id for m in heard if isinstance(m, Outcome)] == ["link.s1.mpls"]


def test_a_nursery_that_dies_is_an_error(tmp_path: Path) -> None:
    """The end of the process that holds the overlay is noticed at once."""
    asked = orders(scenario(tmp_path), picked=("link.s1.mpls",))
    doomed = Doomed(asked.scenario, asked.seed, picked=asked.picked, whom="nursery")
    with pytest.raises(CrewError, match="held the overlay died"), Study(doomed) as asking:
        list(asking.messages())


def leave(asked: Study) -> None:
    """Leave a study as Ctrl-C does, when its children are at work."""
    with asked:
        for message in asked.messages():
            if isinstance(message, Plan):
                raise KeyboardInterrupt


def test_leaving_early_ends_every_process(tmp_path: Path) -> None:
    """Whoever leaves a study leaves no process behind."""
    study_of_all = Study(orders(scenario(tmp_path)))
    pid = study_of_all.pid
    with pytest.raises(KeyboardInterrupt):
        leave(study_of_all)
    patience = monotonic() + 60
    while there(pid):  # what was killed goes as soon as the system has cleared it away
        assert monotonic() < patience
        select.select([], [], [], 0.01)


def there(group: int) -> bool:
    """Tell whether any process of a group is left."""
    try:
        os.killpg(group, signal.SIGCONT)
    except ProcessLookupError:
        return False
    return True


def test_what_cannot_be_studied_is_said(tmp_path: Path) -> None:
    """No traffic, a cold start, nothing that could fail, unknown ids, broken scenarios."""
    given = load(scenario(tmp_path))
    with pytest.raises(WhatIfError, match="offers no traffic"):
        prepare(replace(given, traffic=()), SECOND)
    with pytest.raises(WhatIfError, match="starts cold"):
        prepare(replace(given, cold=True), SECOND)
    studied, _ = prepare(given, SECOND)
    assert (studied.faults, studied.duration_ns) == ((), T0_NS + SECOND)
    wrong: list[tuple[Orders, type[Exception], str | None]] = [
        (Orders(studied, 1, picked=("link.s1.mpsl",)), WhatIfError, "did you mean link.s1.mpls"),
        (Orders(replace(studied, warmup_ns=1), 1), NotConverged, None),
        (Orders(replace(studied, transports=()), 1), ScenarioError, "at least one transport"),
    ]
    for asked, error, words in wrong:
        with pytest.raises(error, match=words), Study(asked) as asking:
            list(asking.messages())
