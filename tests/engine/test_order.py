"""What happens at one instant is one batch: in which order it is told does not matter."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
import pytest

from patronus.engine.announcement import encode
from patronus.engine.engine import Engine, Received
from patronus.engine.output import Output
from patronus.engine.overlay import I64, Overlay
from patronus.engine.policy import Policy
from patronus.engine.steering import Steering
from patronus.engine.units import MS
from patronus.sim.scenario import ControlSpec, Mesh
from patronus.sim.world import World
from tests.engine.fleet import detect_of, wishes_of
from tests.scenarios.catalogue import shipped
from tests.sim.storms import STORMS, calm

COLUMNS: Final = {
    "edges": 2, "carrier_lost": 1, "drain": 1, "heard": 2, "set_fates": 2, "evaluate": 1,
    "configure": 1,
}  # fmt: skip
"""By verb: how many of its arguments are columns of one batch."""

OTHERS: Final = (
    "observe", "count", "alarm", "set_lan", "restart", "resume", "kernel_moved", "programmed",
)  # fmt: skip

pytestmark = pytest.mark.no_cover  # worlds much like others, whose tracing shows nothing new


class Twins:
    """Two engines that are told the same, one of them in a different order each time."""

    def __init__(self, overlay: Overlay, policy: Policy, **others: Any) -> None:
        """Create both; arguments are those of ``Engine``."""
        others.pop("sink")
        fates = others.pop("fates")
        self.lines: tuple[list[bytes], list[bytes]] = ([], [])
        self.one, self.other = (
            Engine(overlay, policy, fates=fates.copy(), sink=lines.append, **others)
            for lines in self.lines
        )
        self.rng = np.random.default_rng(1)
        self.compared = self.mixed = 0
        """Decisions, and batches of more than one that were told in another order."""

    def __getattr__(self, name: str) -> Any:
        """Let verbs reach both, and let the world look at the first."""
        if name in COLUMNS or name in OTHERS:
            return partial(self._both, name)
        return getattr(self.one, name)

    @property
    def recording(self) -> bool:
        return self.one.recording

    @recording.setter
    def recording(self, on: bool) -> None:
        self.one.recording = self.other.recording = on

    def _both(self, verb: str, *given: Any, **named: Any) -> Any:
        told = getattr(self.one, verb)(*given, **named)
        columns = COLUMNS.get(verb, 0)
        order = self._order(len(given[0])) if columns else None
        other = [np.asarray(a)[order] if n < columns else a for n, a in enumerate(given)]
        getattr(self.other, verb)(*other, **named)
        self._agree()
        return told

    def _order(self, length: int) -> I64:
        self.mixed += length > 1
        return self.rng.permutation(length)

    def learn(self, received: Sequence[Received], now_ns: int) -> None:
        """Let letters, and those who get them, come in another order."""
        self.one.learn(received, now_ns)
        shuffled = [(sites[self._order(len(sites))], told) for sites, told in received]
        self.other.learn([shuffled[n] for n in self._order(len(shuffled)).tolist()], now_ns)
        self._agree()

    def _agree(self) -> None:
        first, second = self.lines
        assert first == second
        self.compared += len(first)
        first.clear()
        second.clear()

    def take(self) -> Output:
        """Both want the same."""
        out, other = self.one.take(), self.other.take()
        assert [encode(a) for a in out.announcements] == [encode(a) for a in other.announcements]
        assert wishes_of([out]) == wishes_of([other])
        assert detect_of([out]) == detect_of([other])
        assert sorted(out.unlatch) == sorted(other.unlatch)
        assert sorted(out.detections) == sorted(other.detections)
        return out


AT_ONCE: Final = ControlSpec(delay_ns=30 * MS, jitter_ns=0)
"""All letters of an instant arrive everywhere at one instant."""

SCENARIOS: Final = {
    "agents": calm(*STORMS["agents"]),
    "cuts": calm(*STORMS["cuts"], mesh=Mesh.REGIONAL),
    "hub-loss": shipped("hub-loss", ["duration=14s"]),
    "hub-lan-loss": shipped("hub-lan-loss", ["duration=17s"]),
}


def lived(name: str, monkeypatch: pytest.MonkeyPatch) -> Twins:
    monkeypatch.setattr("patronus.sim.world.Engine", Twins)
    world = World(replace(SCENARIOS[name], control=AT_ONCE), 1)
    world.run()
    twins: Any = world.engine
    assert isinstance(twins, Twins)
    return twins


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_order_of_a_batch_decides_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Edges, letters, drains and evaluations of an instant, shuffled: the journal is the same."""
    twins = lived(name, monkeypatch)
    assert twins.compared > 20
    assert twins.mixed > 10


def first_come(real: Any) -> Any:
    """Break withdrawals: only the first who is told leaves."""

    def hold_through(self: Steering, site: int, observers: I64, lost: Any) -> Any:
        return real(self, site, observers[:1], lost)

    return hold_through


def as_named(_: Any) -> Any:
    """Break evaluations: sites are taken as they are named."""
    return lambda values: values


@pytest.mark.parametrize(
    ("place", "broken", "name"),
    [
        ("patronus.engine.steering.Steering.hold_through", first_come, "hub-lan-loss"),
        ("patronus.engine.engine.distinct", as_named, "hub-loss"),
    ],
)
def test_an_engine_that_minds_the_order_is_noticed(
    place: str, broken: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were letters or sites taken as they come, the journals would differ."""
    monkeypatch.setattr(place, broken(Steering.hold_through))
    with pytest.raises(AssertionError):
        lived(name, monkeypatch)
