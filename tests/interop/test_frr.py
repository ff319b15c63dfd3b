"""BFD with FRR's bfdd at the other end of a cable."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from time import monotonic_ns

import pytest

from patronus.dataplane.bfd.intervals import Settings
from patronus.dataplane.bfd.machine import Diagnostic, State
from patronus.dataplane.bfd.session import Session
from patronus.dataplane.bfd.sockets import Peer
from patronus.engine.units import MS
from tests.dataplane.bfd.link import timers
from tests.interop.frr import Frr, frr
from tests.interop.namespaces import Cable, cable
from tests.interop.speaker import Speaker, speaker
from tests.interop.waiting import eventually

pytestmark = pytest.mark.root

OURS = timers(20_000, 30_000, 4)
THEIRS = ("receive-interval 50", "transmit-interval 50", "detect-multiplier 3")
LATE_NS = 500 * MS
"""How late an end may notice silence, or be told of it, on a busy machine; the Detection Times are
150 and 200 ms."""


@dataclass
class Pair:
    """Our session on the left, FRR's on the right; both are Up when a test begins."""

    cable: Cable
    ours: Speaker
    frr: Frr
    peer: Peer
    session: Session
    which: int = 0

    def configure(self, settings: Settings) -> None:
        self.ours.ask(lambda: self.ours.driver.configure(self.peer, settings))

    def tell(self, *lines: str) -> None:
        made = self.cable
        self.frr.peer(
            made.left_addresses[self.which],
            made.right_addresses[self.which],
            made.interface,
            *lines,
        )

    @property
    def status(self) -> dict[str, object]:
        return self.frr.status(self.cable.left_addresses[self.which])

    def shows(self, **expected: object) -> dict[str, object]:
        """Wait until FRR says all of this of the session."""
        wanted = {name.replace("_", "-"): value for name, value in expected.items()}

        def looks_so() -> dict[str, object]:
            status = self.status
            return status if wanted.items() <= status.items() else {}

        return eventually(looks_so)

    def keeps(self, detection_ns: int, interval_us: int) -> bool:
        session = self.session
        return (detection_ns, interval_us) == (
            session.detection_time_ns,
            session.transmit_interval_us,
        )

    @property
    def settled(self) -> bool:
        return self.session.state is State.UP and not self.session.polling


def begin(which: int, made: Cable, ours: Speaker, theirs: Frr) -> Pair:
    peer = Peer(ip_address(made.right_addresses[which]), made.interface)
    session = ours.ask(lambda: ours.driver.add(peer, OURS))
    pair = Pair(made, ours, theirs, peer, session, which)
    pair.tell(*THEIRS)
    ours.wait_for(State.UP)
    pair.shows(status="up")
    eventually(lambda: pair.settled)
    return pair


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A session that is Up: over IPv4, or over the addresses that the test asks for."""
    with cable() as made, speaker(made.left) as ours, frr(made.right) as theirs:
        yield begin(getattr(request, "param", 0), made, ours, theirs)
        assert ours.driver.send_errors == 0


@pytest.mark.parametrize("pair", [0, 1, 2], indirect=True, ids=["IPv4", "IPv6", "link-local"])
def test_up_with_negotiated_timers(pair: Pair) -> None:
    """Both ends are Up and agree on what each told the other."""
    pair.shows(
        status="up",
        diagnostic="ok",
        remote_id=pair.session.discriminator,
        remote_transmit_interval=20,
        remote_receive_interval=30,
        remote_detect_multiplier=4,
    )
    assert pair.session.remote_discriminator == pair.status["id"]
    eventually(lambda: pair.session.transmit_interval_us == 50_000)
    assert pair.session.detection_time_ns == 150 * MS


def test_our_timers_rise_and_fall_while_up(pair: Pair) -> None:
    """FRR follows our intervals up and down, and the session does not flap."""
    for settings in (
        timers(400_000, 300_000, 3),
        timers(10_000, 15_000, 5),
        timers(1_500_000, 40_000),
    ):
        pair.configure(settings)
        pair.shows(
            remote_transmit_interval=settings.desired_min_tx_us // 1_000,
            remote_receive_interval=settings.required_min_rx_us // 1_000,
            remote_detect_multiplier=settings.detect_mult,
        )
        eventually(lambda: pair.settled)
        slower_us = max(50_000, settings.desired_min_tx_us)
        assert pair.session.transmit_interval_us == slower_us
    assert pair.ours.quiet
    assert pair.frr.counters(pair.cable.left_address)["session-down"] == 0


def test_their_timers_rise_and_fall_while_up(pair: Pair) -> None:
    """We follow FRR's intervals up and down, and the session does not flap."""
    for receive, transmit, mult in ((300, 400, 5), (15, 10, 4), (60, 700, 3)):
        pair.tell(
            f"receive-interval {receive}",
            f"transmit-interval {transmit}",
            f"detect-multiplier {mult}",
        )
        eventually(partial(pair.keeps, mult * max(30, transmit) * MS, max(20, receive) * 1_000))
    assert pair.ours.quiet
    assert pair.frr.counters(pair.cable.left_address)["session-down"] == 0


def test_our_admin_down_and_return(pair: Pair) -> None:
    """FRR shows that we were taken down by an administrator, and comes back with us."""
    pair.ours.ask(lambda: pair.ours.driver.disable(pair.peer))
    pair.shows(
        status="down",
        diagnostic="neighbor signaled session down",
        remote_diagnostic="administratively down",
    )
    pair.ours.ask(lambda: pair.ours.driver.enable(pair.peer))
    pair.shows(status="up")


def test_their_admin_down_and_return(pair: Pair) -> None:
    """FRR's shutdown takes us down (it gives no diagnostic), its return brings us back."""
    pair.tell("shutdown")
    down = pair.ours.wait_for(State.DOWN)
    assert down.diagnostic is Diagnostic.NEIGHBOR_SIGNALED_SESSION_DOWN
    assert pair.session.remote is not None
    assert pair.session.remote.state is State.ADMIN_DOWN
    pair.tell("no shutdown")
    pair.ours.wait_for(State.UP)
    pair.shows(status="up")


def test_we_notice_a_dead_daemon(pair: Pair) -> None:
    """After bfdd is killed we are Down within the Detection Time of its last packet."""
    killed_ns = monotonic_ns()
    os.kill(pair.frr.pid, signal.SIGKILL)
    down = pair.ours.wait_for(State.DOWN)
    assert down.diagnostic is Diagnostic.CONTROL_DETECTION_TIME_EXPIRED
    took_ns = down.at_ns - killed_ns
    assert 100 * MS <= took_ns <= 150 * MS + LATE_NS


def test_they_notice_our_silence(pair: Pair) -> None:
    """When nothing of ours arrives, FRR tells within its Detection Time; mended, all is Up."""
    cut_ns = monotonic_ns()
    pair.cable.cut(pair.cable.right)
    down = pair.ours.wait_for(State.DOWN)
    assert down.diagnostic is Diagnostic.NEIGHBOR_SIGNALED_SESSION_DOWN
    assert down.remote_diagnostic == Diagnostic.CONTROL_DETECTION_TIME_EXPIRED
    took_ns = down.at_ns - cut_ns
    assert 150 * MS <= took_ns <= 200 * MS + LATE_NS
    pair.shows(status="down", diagnostic="control detection time expired")
    pair.cable.mend(pair.cable.right)
    pair.ours.wait_for(State.UP)
    pair.shows(status="up")


def test_both_directions_cut_and_mended(pair: Pair) -> None:
    """With both directions cut, each end notices by itself, and both come back."""
    for end in (pair.cable.left, pair.cable.right):
        pair.cable.cut(end)
    down = pair.ours.wait_for(State.DOWN)
    assert down.diagnostic is Diagnostic.CONTROL_DETECTION_TIME_EXPIRED
    pair.shows(status="down", diagnostic="control detection time expired")
    for end in (pair.cable.left, pair.cable.right):
        pair.cable.mend(end)
    pair.ours.wait_for(State.UP)
    pair.shows(status="up")
