"""A user's own selection runs under the same luck as the engine's."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from patronus.engine.policy import Policy, SlaClass, TrafficClass
from patronus.engine.units import MS, SECOND
from patronus.sim import PathView, compare, run
from patronus.sim.language.profiles import SHIPPED
from patronus.sim.scenario import (
    FaultKind,
    FaultSpec,
    Scenario,
    Schedule,
    Selector,
    SiteSpec,
    TopologySpec,
)

VOICE = TrafficClass("voice", sla=SlaClass(latency_ns=150 * MS, prefer=("mpls",)))

SCENARIO = Scenario(
    name="own-policy",
    topology=TopologySpec(sites=(SiteSpec("a"), SiteSpec("b"), SiteSpec("c"))),
    transports=(SHIPPED["mpls"].spec("mpls"), SHIPPED["broadband"].spec("broadband")),
    policy=Policy(classes=(VOICE,)),
    duration_ns=6 * SECOND,
    faults=(
        FaultSpec(
            "cut",
            FaultKind.BLACKHOLE,
            Selector(sites=("a",), transports=("mpls",)),
            Schedule(at_ns=2 * SECOND, for_ns=SECOND),
        ),
    ),
)


@dataclass
class Like:
    """Takes what the engine would: the best grade, then the best metric."""

    asked: list[Sequence[PathView]] = field(default_factory=list)

    def choose(self, paths: Sequence[PathView]) -> PathView | None:
        """Note the question and answer as the engine does."""
        self.asked.append(paths)
        usable = [p for p in paths if p.usable]
        return min(usable, key=lambda p: (p.grade, p.metric_ns), default=None)


class Contrary:
    """Takes the worst usable path."""

    def choose(self, paths: Sequence[PathView]) -> PathView | None:
        """Return what the engine would not."""
        return max((p for p in paths if p.usable), key=lambda p: p.grade)


class Stubborn:
    """Chooses what cannot be used."""

    def choose(self, paths: Sequence[PathView]) -> PathView | None:
        """Return a path that is not among those offered."""
        return PathView("x", "y", True, 0, 0, 0, False, 99)


def test_a_policy_that_ranks_like_the_engine_decides_like_it() -> None:
    """With margins that never matter the decisions are the engine's own, by the same reasons."""
    like = Like()
    ours, theirs = run(SCENARIO, seed=3), run(SCENARIO, seed=3, policy=like)
    assert like.asked
    assert ours.summary["decisions_sha256"] == theirs.summary["decisions_sha256"]
    assert ours.summary["counts"]["probes_lost"] == theirs.summary["counts"]["probes_lost"]


def test_a_contrary_policy_is_on_the_other_transport_and_feels_no_cut() -> None:
    """Voice rides broadband from the start, so the cut of mpls exposes nothing."""
    ours, theirs = run(SCENARIO, seed=3), run(SCENARIO, seed=3, policy=Contrary())
    assert len(ours.failovers) > 0
    assert len(theirs.failovers) == 0
    assert compare([ours], [theirs]).divergences


def test_a_choice_that_was_not_offered_is_refused() -> None:
    """The message names the policy."""
    with pytest.raises(ValueError, match="Stubborn chose a path that is not usable"):
        run(SCENARIO, seed=3, policy=Stubborn())
