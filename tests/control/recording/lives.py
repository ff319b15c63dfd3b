"""Lives of small engines, recorded: random ones, and those of whole worlds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from patronus.control.recording.engine import RecordedEngine
from patronus.control.recording.recorder import Recorder
from patronus.engine.announcement import decode, encode
from patronus.engine.engine import Engine
from patronus.engine.liveness import Input
from patronus.engine.overlay import I64, Overlay, alone, build_overlay
from patronus.engine.policy import Damping, Policy, SlaClass, TrafficClass
from patronus.engine.units import MS, NEVER, SECOND
from patronus.sim.scenario import Scenario
from patronus.sim.world import World

CLASSES = (TrafficClass("voice", sla=SlaClass(latency_ns=90 * MS, loss_ppm=9_000)),
           TrafficClass("rest"))  # fmt: skip
POLICY = Policy(classes=CLASSES, damping=Damping(300 * MS, 2 * SECOND, 2 * SECOND))
OTHER = Policy(classes=(TrafficClass("voice"), TrafficClass("rest")), cost={"lte": 5})


def network() -> Overlay:
    """Return a hub, a second one, and two spokes over two transports."""
    pairs = [(a, b, t) for a in range(4) for b in range(a + 1, 4) for t in range(2)]
    return build_overlay(
        sites=["hub", "inn", "oslo", "rome"],
        transports=["lte", "mpls"],
        pairs=np.array(pairs, dtype=np.int64),
        destinations=[("internet", ["hub", "inn"])],
        transit=["hub", "inn"],
    )


def recorder(folder: Path, max_bytes: int = 10**9, keep: int = 100) -> Recorder:
    """Return a recorder whose every complaint fails the test."""

    def complain(message: str) -> None:
        raise AssertionError(message)

    return Recorder(folder, max_bytes=max_bytes, keep=keep, tell=complain)


class Life:
    """A random life of one router's engine; equal seeds live alike."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine = engine
        self.luck = np.random.default_rng(seed)
        self.now_ns = 0
        self.sequence = 0
        self.post = [encode(a) for a in _announcements()]

    def some(self) -> I64:
        """Return some rows, ascending."""
        return np.flatnonzero(self.luck.random(self.engine.overlay.rows) < 0.4)

    def pick(self, most: int) -> int:
        """Return a number below ``most``."""
        return int(self.luck.integers(most))

    def steps(self, count: int) -> None:
        """Live on for some inputs."""
        verbs: tuple[Callable[[], object], ...] = (
            self.probe, self.probe, self.probe, self.evaluate, self.evaluate, self.edges,
            self.learn, self.drain, self.count, self.odd,
        )  # fmt: skip
        for _ in range(count):
            self.now_ns += self.pick(200 * MS)
            verbs[self.pick(len(verbs))]()
            if self.pick(3) == 0:
                for delta in self.engine.take().deltas:
                    self.engine.programmed(delta)

    def probe(self) -> None:
        """Take a reflection of all rows or of some; act on alarms."""
        rows: Any = slice(None) if self.pick(2) else self.some()
        size = self.engine.overlay.rows if isinstance(rows, slice) else len(rows)
        sent = self.now_ns - self.luck.integers(20 * MS, 400 * MS, size)
        self.sequence += 1 + self.pick(3)
        lost = self.luck.random(size) < 0.2
        alarmed = self.engine.observe(
            rows,
            sent_ns=sent,
            reflected_ns=sent + 10**15,
            arrived_ns=np.where(lost, NEVER, self.now_ns),
            sequence=np.full(size, self.sequence, dtype=np.int64),
            heard_count=np.full(size, self.sequence * 2 // 3, dtype=np.int64),
        )
        if len(alarmed.rows):
            self.engine.alarm(alarmed.rows, self.now_ns, alarmed.figures)

    def evaluate(self) -> None:
        """Let the site's turn come."""
        self.engine.evaluate([0], self.now_ns)

    def edges(self) -> None:
        """Let rows fall silent or be heard again."""
        rows = self.some()
        kinds = self.luck.choice([Input.EXPIRE, Input.CONFIRM, Input.CONFIRM], len(rows))
        self.engine.edges(rows, kinds.astype(np.int8), self.now_ns)

    def learn(self) -> None:
        """Hear what others say, old and new."""
        here = np.zeros(1, dtype=np.int64)
        told = decode(self.post[self.pick(len(self.post))])
        self.engine.learn([(here, told)], self.now_ns)

    def drain(self) -> None:
        """Begin or end a planned move."""
        self.engine.drain(self.some(), self.now_ns, on=bool(self.pick(2)))

    def count(self) -> None:
        """Take peers' counts and reports."""
        rows = self.some()
        lost = self.luck.integers(0, 30, len(rows))
        at_ns = np.full(len(rows), self.now_ns, dtype=np.int64)
        self.engine.count(rows, sent=lost + 70, lost=lost, at_ns=at_ns)
        self.sequence += 2
        numbers = np.full(len(rows), self.sequence, dtype=np.int64)
        self.engine.report(rows, sequence=numbers, heard_count=numbers // 2, at_ns=at_ns)

    def odd(self) -> None:
        """Do one of the rarer things."""
        rows, size = self.some(), self.engine.overlay.rows
        since = np.where(self.luck.random(size) < 0.3, NEVER, self.now_ns - SECOND)
        latched = self.luck.random(size) < 0.2
        entries = np.array([self.pick(self.engine.space.entries)], dtype=np.int64)
        one, other = (np.array([self.pick(size)], dtype=np.int32) for _ in range(2))
        choices: tuple[Callable[[], object], ...] = (
            lambda: self.engine.carrier_lost(rows, self.now_ns),
            lambda: self.engine.set_lan(0, up=bool(self.pick(2)), now_ns=self.now_ns),
            lambda: self.engine.configure([0], OTHER if self.pick(2) else None, self.now_ns),
            lambda: self.engine.set_fates(rows, self.luck.integers(0, 8, (len(rows), 1)).astype(
                np.uint64)),
            lambda: self.engine.restart(0, self.now_ns, since_ns=since, latched=latched),
            lambda: self.engine.resume(0, self.now_ns, since_ns=since, latched=latched),
            lambda: self.engine.kernel_moved(entries, one, other, self.now_ns),
            lambda: self.engine.set_mtu(rows, self.luck.integers(0, 3, len(rows)) * 700,
                                        self.now_ns),
            lambda: self.engine.heard(rows, np.full(len(rows), self.now_ns, dtype=np.int64)),
        )  # fmt: skip
        choices[self.pick(len(choices))]()


def _announcements() -> list[Any]:
    """Return what the hubs may say, in several versions."""
    said = []
    for site in (0, 1):
        engine = Engine(alone(network(), site), POLICY)
        engine.heard(np.arange(6), np.zeros(6, dtype=np.int64))
        for second in range(1, 5):
            engine.evaluate([0], second * SECOND)
            if second == 3:
                gone = np.array([site], dtype=np.int64)
                engine.edges(gone, np.array([Input.EXPIRE], dtype=np.int8), 3 * SECOND + 1)
            said += engine.take().announcements
    return said


def lived(folder: Path, seed: int, steps: int = 120, **bounds: int) -> list[bytes]:
    """Record a random life to its end; return its journal."""
    lines: list[bytes] = []
    engine = RecordedEngine(
        alone(network(), 3 if seed % 3 else 0),
        POLICY,
        recorder=recorder(folder, **bounds),
        sink=lines.append,
    )
    Life(engine, seed).steps(steps)
    engine.recorder.stop(engine)
    return lines


def world(
    monkeypatch: pytest.MonkeyPatch, scenario: Scenario, folder: Path, until_ns: int = NEVER,
    **bounds: int,
) -> list[bytes]:  # fmt: skip
    """Record the one engine of a simulated world; return its journal."""
    lines: list[bytes] = []

    def recorded(overlay: Overlay, policy: Policy, *, fates: Any, **_: Any) -> RecordedEngine:
        tape = recorder(folder, **bounds)
        return RecordedEngine(overlay, policy, recorder=tape, fates=fates, sink=lines.append)

    monkeypatch.setattr("patronus.sim.world.Engine", recorded)
    running = World(scenario, 1)
    running.run(until_ns=until_ns)
    engine: Any = running.engine
    engine.recorder.stop(engine)
    return lines
