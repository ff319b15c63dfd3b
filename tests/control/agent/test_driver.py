"""The driver under virtual time: a real engine over a kernel in memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from patronus.control.agent.drains import FAR_NS, Drains
from patronus.control.agent.driver import LOOK_NS, SETTLE_NS, Driver, Listeners, merged
from patronus.control.config.layout import layout
from patronus.control.config.model import DRAIN_NS
from patronus.control.recording.engine import RecordedEngine
from patronus.control.recording.recorder import files
from patronus.control.recording.replay import replay
from patronus.dataplane.stamp.columns import Columns
from patronus.dataplane.stamp.tlv import Drain
from patronus.engine.announcement import Announcement
from patronus.engine.engine import Engine
from patronus.engine.forwarding import NO_ROW, ForwardingDelta
from patronus.engine.liveness import State
from patronus.engine.overlay import I64
from patronus.engine.policy import Policy
from patronus.engine.units import MS, SECOND
from tests.control.agent.kernel import MemoryKernel
from tests.control.config.files import config
from tests.control.recording.lives import recorder

LAYOUT = layout(config(("lte: learned", "lte: 192.0.2.9")))
ROWS: I64 = np.arange(LAYOUT.overlay.rows, dtype=np.int64)
START_NS = 10 * SECOND


class Life:
    """A driver, its kernel, and what it said."""

    def __init__(
        self, make: Callable[..., Engine] = Engine, policy: Policy | None = None, **more: Any
    ) -> None:
        self.lines: list[bytes] = []
        self.engine = make(
            LAYOUT.overlay,
            policy or config().policy,
            fates=LAYOUT.fates,
            sink=self.lines.append,
            **more,
        )
        self.kernel = MemoryKernel(self.engine)
        self.announced: list[Announcement] = []
        self.detected: list[tuple[int, str]] = []
        self.now_ns = START_NS
        self.silent: set[int] = set()
        self.driver = self.begin(self.engine)
        self.sequence = 0

    def begin(self, engine: Engine, drains: Drains | None = None) -> Driver:
        """Start an agent over the kernel as it is."""
        listeners = Listeners(
            self.announced.append, lambda row, at_ns, layer: self.detected.append((row, layer))
        )
        return Driver(engine, self.kernel, listeners, now_ns=self.now_ns, drains=drains)

    def live(self, until_ns: int, *, ticking: bool = True) -> None:
        """Let proof come every 10 ms, and the driver tick when it wants to."""
        while self.now_ns < until_ns:
            self.now_ns += 10 * MS
            rows = ROWS[~np.isin(ROWS, list(self.silent))]
            self.kernel.hear(rows, self.now_ns)
            self.reflect(rows)
            if ticking and self.now_ns >= self.driver.next_deadline():
                self.driver.tick(self.now_ns)

    def reflect(self, rows: I64) -> None:
        """A probe of each row comes back after 5 ms."""
        self.sequence += 1
        same = np.ones(len(rows), dtype=np.int64)
        self.kernel.waiting.append(
            Columns(
                rows, same * (self.now_ns - 5 * MS), same * (self.now_ns - 2 * MS),
                same * self.now_ns, same * self.sequence, same * self.sequence,
            )
        )  # fmt: skip

    def up(self) -> list[bool]:
        return [bool(s == State.UP) for s in self.engine.state]

    def hub(self) -> int:
        """Return the row that carries what is for the hub; another one stands ready."""
        return self.primary()[LAYOUT.overlay.site_index["hub"]]

    def primary(self) -> list[int]:
        rows: list[int] = self.kernel.table.rows[:, 0].tolist()
        return rows


def risen() -> Life:
    """Return a life in which every tunnel is up and carries."""
    life = Life()
    life.live(START_NS + 6 * SECOND)
    assert all(life.up())
    return life


def test_tunnels_rise_and_entries_are_installed() -> None:
    """Proof brings tunnels up after their hold, and what they reach is forwarded."""
    life = Life()
    assert life.kernel.untouched
    life.live(START_NS + 6 * SECOND)
    assert all(life.up())
    assert not life.kernel.latched.any()
    assert life.engine.programmed_generation > 0
    assert life.lines


def test_silence_moves_traffic_at_the_next_look() -> None:
    """A tunnel that goes silent is left within its detect time and one look."""
    life = risen()
    row = life.hub()
    life.silent = {row}
    detect_ns = int(life.kernel.detect_ns[row])
    life.live(life.now_ns + detect_ns + LOOK_NS + 20 * MS)
    assert life.detected == [(row, "liveness")]
    assert row not in life.primary()


def test_a_blink_between_two_ticks_is_seen() -> None:
    """Silent and heard again while the driver was busy: the engine learns of both."""
    life = risen()
    row = life.hub()
    life.silent = {row}
    life.live(life.now_ns + int(life.kernel.detect_ns[row]) + 20 * MS, ticking=False)
    life.silent = set()
    life.live(life.now_ns + 50 * MS, ticking=False)
    life.driver.tick(life.now_ns)
    assert life.detected == [(row, "liveness")]
    assert life.engine.state[row] == State.INIT
    assert any(b"kernel_moved" in line for line in life.lines)


def test_a_restart_takes_over_what_forwards() -> None:
    """A new engine finds tunnels up and leaves the table as it was, but for what is better."""
    life = risen()
    before = life.primary()
    engine = Engine(LAYOUT.overlay, config().policy, fates=LAYOUT.fates)
    life.engine, life.driver = engine, life.begin(engine)
    assert all(life.up())
    life.driver.tick(life.now_ns)
    assert life.primary() == before
    life.live(life.now_ns + SETTLE_NS + SECOND)
    assert life.primary() == before


def test_what_nobody_wants_any_more_is_given_up() -> None:
    """An entry that an agent of before has left stays until the new one knows better."""
    life = Life()
    life.silent = set(ROWS.tolist())
    entry = int(np.flatnonzero(life.kernel.table.rows[:, 0] == NO_ROW)[-1])
    life.kernel.apply(delta(entry, 0), life.now_ns)
    life.driver = life.begin(Engine(LAYOUT.overlay, config().policy, fates=LAYOUT.fates))
    life.live(life.now_ns + SETTLE_NS - SECOND)
    assert life.primary()[entry] == 0
    life.live(life.now_ns + 2 * SECOND)
    assert life.primary()[entry] == NO_ROW


def delta(entry: int, row: int, generation: int = 1) -> ForwardingDelta:
    no = np.array([False])
    rows = np.array([[row, NO_ROW, NO_ROW]], dtype=np.int32)
    return ForwardingDelta(generation, np.array([entry], dtype=np.int64), rows, no, no)


def test_a_drifted_entry_is_repaired() -> None:
    """What somebody else wrote into the table is found and put right, and counted."""
    life = risen()
    before = life.primary()
    life.kernel.apply(delta(len(before) - 1, NO_ROW), life.now_ns)
    assert life.driver.repair(life.now_ns) == 1
    assert life.primary() == before
    assert life.driver.repair(life.now_ns) == 0


def test_a_drain_is_told_to_engine_and_kernel() -> None:
    """Drained rows are left while others will do, with a deadline for flows without a gap."""
    life = risen()
    row = life.hub()
    rows = np.array([row], dtype=np.int64)
    life.driver.drain(rows, life.now_ns, on=True)
    assert row not in life.primary()
    assert life.kernel.drained == {row: life.now_ns + DRAIN_NS}
    assert life.kernel.telling == {row}
    life.driver.drain(rows, life.now_ns, on=False)
    life.live(life.now_ns + 20 * SECOND)
    assert not life.kernel.drained
    assert not life.kernel.telling
    assert not life.engine.drained.any()


def test_what_the_peer_drains_is_left_until_it_says_otherwise() -> None:
    """Its deadline is the peer's: it says when that is over. It is told nothing back."""
    life = risen()
    row = life.hub()
    life.kernel.say.drains[row] = Drain.ASKED
    life.live(life.now_ns + 200 * MS)
    assert row not in life.primary()
    assert life.kernel.drained == {row: FAR_NS}
    life.kernel.say.drains[row] = Drain.ASKED | Drain.OVERDUE
    life.live(life.now_ns + 200 * MS)
    over_ns = life.kernel.drained[row]
    assert life.now_ns - 200 * MS <= over_ns <= life.now_ns
    life.live(life.now_ns + 2 * SECOND)
    assert life.kernel.drained == {row: over_ns}
    assert not life.kernel.telling
    life.kernel.say.drains[row] = 0
    life.live(life.now_ns + 20 * SECOND)
    assert not life.kernel.drained
    assert not life.engine.drained.any()


def test_of_two_drains_of_a_tunnel_the_last_to_end_counts() -> None:
    """Ours runs to its own deadline, unless the peer's is over; both must have ended."""
    life = risen()
    row = life.hub()
    rows, until_ns = np.array([row], dtype=np.int64), life.now_ns + DRAIN_NS
    life.driver.drain(rows, life.now_ns, on=True)
    life.kernel.say.drains[row] = Drain.ASKED
    life.live(life.now_ns + 200 * MS)
    life.driver.drain(rows, life.now_ns, on=True)
    assert life.kernel.drained == {row: until_ns}
    life.driver.drain(rows, life.now_ns, on=False)
    assert life.kernel.drained == {row: FAR_NS}
    assert life.engine.drained[row]
    assert not life.kernel.telling


@pytest.mark.parametrize("who", ["we", "the peer"])
def test_a_restart_goes_on_with_a_drain(who: str) -> None:
    """No packet goes back to a drained tunnel when the agent starts again."""
    life = risen()
    row = life.hub()
    if who == "we":
        life.driver.drain(np.array([row], dtype=np.int64), life.now_ns, on=True)
    else:
        life.kernel.say.drains[row] = Drain.ASKED
    life.live(life.now_ns + SECOND)
    before = dict(life.kernel.drained)
    life.engine = Engine(LAYOUT.overlay, config().policy, fates=LAYOUT.fates)
    life.driver = life.begin(life.engine, Drains(life.driver.drains.ours_ns))
    carried = {tuple(life.primary())}
    for _ in range(100):
        life.live(life.now_ns + 100 * MS)
        carried.add(tuple(life.primary()))
    assert not any(row in rows for rows in carried)
    assert life.kernel.drained == before
    assert life.engine.drained[row]


def test_a_drain_that_the_kernel_lost_is_put_back() -> None:
    """A row made anew drains as before, and that is counted as a repair."""
    life = risen()
    row = life.hub()
    life.driver.drain(np.array([row], dtype=np.int64), life.now_ns, on=True)
    before = dict(life.kernel.drained)
    life.kernel.drained.clear()
    assert life.driver.repair(life.now_ns) == 1
    assert life.kernel.drained == before


def test_ways_out_are_told_to_the_kernel() -> None:
    """At each evaluation: what pinned flows are moved by."""
    life = risen()
    assert life.kernel.delay_ns[life.hub()] > 0


NEEDY = (
    "lte: {interface: eth1}",
    "lte: {interface: eth1}\nclasses: {large: {match: {dscp: af11}, sla: {mtu: 1400}}, rest: {}}",
)


def test_only_a_class_that_cannot_live_with_it_leaves_a_lower_mtu() -> None:
    """At once; a path counts again when it has carried enough for a while. 0 is not known."""
    life = Life(policy=config(NEEDY).policy)
    life.kernel.mtu[:] = 1400
    life.live(START_NS + 6 * SECOND)
    hub = 2 * LAYOUT.overlay.site_index["hub"]
    row, same = life.primary()[hub : hub + 2]
    assert row == same
    life.kernel.mtu[row] = 1399
    life.live(life.now_ns + 110 * MS)
    large, rest = life.primary()[hub : hub + 2]
    assert large != row
    assert rest == row
    assert any(b"mtu_lowered" in line and b"from_mtu" in line for line in life.lines)
    life.kernel.mtu[row] = 0
    life.live(life.now_ns + 200 * MS)
    assert life.primary()[hub] == large
    life.kernel.mtu[row] = 1400
    life.live(life.now_ns + 20 * SECOND)
    life.kernel.mtu[large] = 1399
    life.live(life.now_ns + 110 * MS)
    assert life.primary()[hub] == row


def test_who_starts_knows_how_large_packets_paths_carry() -> None:
    """No entry is given to a tunnel that is known to be too narrow for its class."""
    life = Life(policy=config(NEEDY).policy)
    row = int(np.flatnonzero(LAYOUT.overlay.dst == LAYOUT.overlay.site_index["hub"])[0])
    life.kernel.mtu[:] = 1500
    life.kernel.mtu[row] = 1300
    life.live(START_NS + 6 * SECOND)
    hub = 2 * LAYOUT.overlay.site_index["hub"]
    assert life.primary()[hub] != row


def test_flows_of_a_sharing_class_are_spread() -> None:
    """By weights over what is equally good; repaired, and taken back with the policy."""
    life = risen()
    shared = "lte: {interface: eth1}\nclasses: {default: {share: {mpls: 1, lte: 1}}}"
    changed = config(("lte: {interface: eth1}", shared)).policy
    life.driver.configure(changed, life.now_ns)
    hub = LAYOUT.overlay.site_index["hub"]
    life.live(life.now_ns + 2 * SECOND)
    assert life.kernel.spread[hub].tolist() == [8, 0]
    life.kernel.spread[hub] = 3
    assert life.driver.repair(life.now_ns) == 1
    assert life.kernel.spread[hub].tolist() == [8, 0]
    switches = life.kernel.switches
    life.live(life.now_ns + 3 * SECOND)
    assert life.kernel.switches == switches
    life.driver.configure(config().policy, life.now_ns)
    life.live(life.now_ns + 2 * SECOND)
    assert not life.kernel.spread.any()


def test_a_lost_carrier_is_left_at_once() -> None:
    """Rows of a dead interface go down without waiting for their proof to run out."""
    life = risen()
    row = life.hub()
    life.driver.carrier_lost(np.array([row], dtype=np.int64), life.now_ns)
    assert row not in life.primary()
    assert life.detected == [(row, "liveness")]
    assert life.kernel.latched[row]


def test_a_late_driver_keeps_the_journal_in_order() -> None:
    """After a pause of seconds edges lie in the past; decisions are told in order all the same."""
    life = risen()
    row = life.hub()
    life.live(life.now_ns + 3 * SECOND, ticking=False)
    life.silent = {row}
    life.live(life.now_ns + 3 * SECOND, ticking=False)
    life.driver.tick(life.now_ns)
    life.live(life.now_ns + 3 * SECOND)
    assert row not in life.primary()


def test_the_heartbeat_goes_on() -> None:
    """The kernel hears of the agent at every tick: far more often than once a second."""
    life = risen()
    beats = np.diff(life.kernel.beats)
    assert beats.max() <= 100 * MS


def test_a_driven_life_is_replayed(tmp_path: Path) -> None:
    """What the driver told a recorded engine brings another one to the same decisions."""
    life = Life(RecordedEngine, recorder=recorder(tmp_path))
    life.live(START_NS + 6 * SECOND)
    life.silent = {life.hub()}
    life.live(life.now_ns + 2 * SECOND)
    assert isinstance(life.engine, RecordedEngine)
    life.engine.recorder.stop(life.engine)
    (path,) = files(tmp_path)
    done = replay(path)
    assert done.difference is None
    assert done.decisions == len(life.lines) > 0


def test_deltas_are_installed_as_one() -> None:
    """Of several deltas each entry takes its last value, in one switch of the table."""
    one = merged([delta(3, 1), delta(2, 0), delta(3, 2, generation=7)])
    assert one.generation == 7
    assert one.entries.tolist() == [2, 3]
    assert one.rows[:, 0].tolist() == [0, 2]


@pytest.mark.parametrize("lost", [0, 5])
def test_losses_that_peers_tell_are_counted(lost: int) -> None:
    """Data packets that the peer has not heard become loss of the row, and no others do."""
    life = risen()
    say = life.kernel.say
    for step in range(1, 40):
        say.at_ns[0] = life.now_ns
        say.out_data_told[0], say.out_data_heard[0] = 100 * step, (100 - lost) * step
        life.live(life.now_ns + 100 * MS)
    figures = life.engine.figures(ROWS, life.now_ns)
    assert (figures.loss_ppm[0] > 20_000) == (lost > 0)
    assert figures.loss_ppm[1] == 0
