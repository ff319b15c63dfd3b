"""One session: what it sends when, what it makes of silence, admin and hostile peers."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.bfd.authentication import Authentication, Authenticator, AuthType
from patronus.dataplane.bfd.machine import Diagnostic, State
from patronus.dataplane.bfd.packet import Discard, Discarded, Packet, decode
from patronus.dataplane.bfd.session import Session, StateChanged
from patronus.engine.units import MINUTE, MS, NEVER, PPM, SECOND
from tests.dataplane.bfd.link import Link, timers
from tests.dataplane.bfd.test_packet import PACKETS
from tests.oracles.bfd import state_after

FAST = timers(50_000, 50_000)
HELLO = Packet(
    state=State.DOWN,
    my_discriminator=9,
    detect_mult=3,
    desired_min_tx_us=1_000_000,
    required_min_rx_us=50_000,
)
KEYED = Authentication(AuthType.KEYED_SHA1, {1: b"key"}, 1)


def alone(*, passive: bool = False, enabled: bool = True) -> Session:
    return Session(discriminator=1, settings=FAST, passive=passive, enabled=enabled)


def sent(session: Session) -> list[Packet]:
    return [decode(data) for data in session.take().packets]


def up_session(peer: Packet = HELLO) -> Session:
    """Return a session that came Up at time 0 by a peer's packet, with nothing left to take."""
    session = alone()
    session.receive(replace(peer, state=State.INIT, your_discriminator=1), 0, draw_ppm=0)
    assert session.state is State.UP
    session.take()
    return session


def hear(session: Session, packet: Packet, now_ns: int) -> Discard | None:
    try:
        session.receive(packet, now_ns, draw_ppm=0)
    except Discarded as refused:
        return refused.reason
    return None


# What it sends


def test_the_first_packet_knows_nobody() -> None:
    """A new session sends at once, Down, with no discriminator but its own, and slowly."""
    session = alone()
    assert session.next_deadline() <= 0
    session.advance(0, draw_ppm=0)
    (packet,) = sent(session)
    assert packet == Packet(
        state=State.DOWN,
        my_discriminator=1,
        detect_mult=3,
        desired_min_tx_us=1_000_000,
        required_min_rx_us=50_000,
    )
    assert session.next_deadline() == SECOND


def test_a_passive_session_waits_to_be_spoken_to() -> None:
    """In the passive role nothing is sent before the peer is heard, and nothing after it left."""
    session = alone(passive=True)
    session.advance(0, draw_ppm=0)
    assert not sent(session)
    assert session.next_deadline() == NEVER
    session.receive(HELLO, SECOND, draw_ppm=0)
    (packet,) = sent(session)
    assert (packet.state, packet.your_discriminator) == (State.INIT, 9)
    session.advance(SECOND + session.detection_time_ns, draw_ppm=0)
    assert not sent(session)


def gaps(link: Link, place: int, since_ns: int) -> Iterator[int]:
    times = [at for at, packet in link.ends[place].sent if at >= since_ns and not packet.final]
    return (after - before for before, after in pairwise(times))


@pytest.mark.parametrize(("mult", "most"), [(1, 90), (3, 100)])
def test_periodic_packets_keep_the_negotiated_pace(mult: int, most: int) -> None:
    """Between packets lie 75 to 100 (or 90) percent of the greater of ours and the peer's."""
    link = Link(timers(20_000, 70_000, mult), timers(30_000, 40_000))
    link.run_until_settled()
    since_ns = link.now_ns
    link.run(30 * SECOND)
    for place, interval_ms, limit in ((0, 40, most), (1, 70, 100)):
        found = list(gaps(link, place, since_ns))
        assert len(found) > 300
        assert min(found) >= interval_ms * MS * 75 // 100
        assert max(found) <= interval_ms * MS * limit // 100
        assert max(found) - min(found) > interval_ms * MS * (limit - 75) // 110


def test_not_up_means_slow() -> None:
    """Without an answer, packets are 0.75 to 1 s apart, however fast the configuration."""
    link = Link(timers(1_000, 1_000), FAST)
    link.ends[0].deaf = link.ends[1].deaf = True
    link.run(MINUTE)
    found = list(gaps(link, 0, 0))
    assert min(found) >= 750 * MS
    assert max(found) <= SECOND


def test_a_change_of_state_is_told_at_once() -> None:
    """News do not wait for the periodic packet."""
    session = alone()
    session.advance(0, draw_ppm=0)
    session.take()
    session.receive(HELLO, MS, draw_ppm=0)
    (packet,) = sent(session)
    assert (packet.state, packet.your_discriminator) == (State.INIT, 9)


def test_a_shorter_interval_of_the_peer_is_honoured_at_once() -> None:
    """When the peer can receive faster, the packet that is then overdue leaves at once."""
    session = up_session(replace(HELLO, required_min_rx_us=900_000))
    session.advance(0, draw_ppm=0)
    session.take()
    assert session.next_deadline() == 900 * MS
    session.receive(replace(HELLO, state=State.UP, your_discriminator=1), 400 * MS, draw_ppm=0)
    assert len(sent(session)) == 1
    assert session.next_deadline() == 450 * MS


def test_a_poll_is_answered_at_once_and_besides() -> None:
    """A Final goes out for each poll, has no P bit, and does not put off the next packet."""
    session = up_session()
    session.advance(0, draw_ppm=0)
    session.take()
    due_ns = session.next_deadline()
    session.receive(
        replace(HELLO, state=State.UP, your_discriminator=1, poll=True), 10 * MS, draw_ppm=0
    )
    (packet,) = sent(session)
    assert (packet.final, packet.poll) == (True, False)
    assert session.next_deadline() == due_ns


def test_polls_ride_on_periodic_packets_until_the_final() -> None:
    """After coming Up, packets carry P until one with F arrives; none is sent for it alone."""
    session = up_session()
    polls = []
    for step in range(1, 4):
        session.receive(
            replace(HELLO, state=State.UP, your_discriminator=1), step * 50 * MS, draw_ppm=0
        )
        session.advance(step * 50 * MS, draw_ppm=0)
        polls += [packet.poll for packet in sent(session)]
    assert polls == [True, True, True]
    final = replace(HELLO, state=State.UP, your_discriminator=1, final=True)
    session.receive(final, 160 * MS, draw_ppm=0)
    session.advance(200 * MS, draw_ppm=0)
    assert [packet.poll for packet in sent(session)] == [False]


def test_a_peer_that_wants_nothing_gets_finals_only() -> None:
    """Required Min RX Interval 0 stops all packets but answers to polls."""
    session = up_session()
    quiet = replace(HELLO, state=State.UP, your_discriminator=1, required_min_rx_us=0)
    session.receive(quiet, MS, draw_ppm=0)
    session.take()
    session.advance(2 * SECOND, draw_ppm=0)
    assert not sent(session)
    session.receive(replace(quiet, poll=True), 2 * SECOND, draw_ppm=0)
    assert [packet.final for packet in sent(session)] == [True]


def test_a_peer_that_wanted_nothing_and_left_is_called_again() -> None:
    """A silent peer's wishes are forgotten: it may have started anew."""
    session = up_session()
    quiet = replace(HELLO, state=State.UP, your_discriminator=1, required_min_rx_us=0)
    session.receive(quiet, MS, draw_ppm=0)
    session.take()
    session.advance(MS + session.detection_time_ns, draw_ppm=0)
    assert [packet.state for packet in sent(session)] == [State.DOWN]


def test_requiring_nothing_holds_the_session_down() -> None:
    """With our own Required Min RX Interval 0 the peer falls silent, and nobody stays Up."""
    link = Link(FAST, FAST)
    link.run_until_settled()
    link.configure(0, timers(50_000, 0))
    link.run(MINUTE)
    assert not link.both_up
    heard = [at for at, packet in link.ends[1].sent if not packet.final]
    assert max(heard) < 10 * SECOND
    link.configure(0, FAST)
    link.run_until_settled()


def test_a_peer_in_demand_mode_is_left_alone() -> None:
    """While both are Up and the peer asks for Demand mode, only polls are sent (6.6)."""
    session = up_session()
    demand = replace(HELLO, state=State.UP, your_discriminator=1, demand=True)
    session.receive(demand, MS, draw_ppm=0)
    session.advance(50 * MS, draw_ppm=0)
    assert [packet.poll for packet in sent(session)] == [True]
    session.receive(replace(demand, final=True), 60 * MS, draw_ppm=0)
    session.advance(500 * MS, draw_ppm=0)
    assert not sent(session)
    session.receive(replace(demand, demand=False), 510 * MS, draw_ppm=0)
    assert len(sent(session)) == 1
    session.advance(560 * MS, draw_ppm=0)
    assert len(sent(session)) == 1


# Silence


def test_silence_is_noticed_after_the_detection_time() -> None:
    """Down comes exactly the peer's multiplier × the greater interval after its last packet."""
    session = up_session(replace(HELLO, desired_min_tx_us=80_000, detect_mult=4))
    assert session.detection_time_ns == 320 * MS
    session.advance(320 * MS - 1, draw_ppm=0)
    assert session.state is State.UP
    session.take()
    session.advance(320 * MS, draw_ppm=0)
    packets, events = session.take()
    assert events == [
        StateChanged(320 * MS, State.UP, State.DOWN, Diagnostic.CONTROL_DETECTION_TIME_EXPIRED, 0)
    ]
    told = decode(packets[0])
    assert (told.state, told.diagnostic, told.your_discriminator) == (State.DOWN, 1, 0)


def test_a_deadline_is_never_missed() -> None:
    """The question for the next deadline covers the Detection Time of a session that only hears."""
    session = up_session(replace(HELLO, required_min_rx_us=0))
    assert session.next_deadline() == session.detection_time_ns


def test_both_ends_learn_of_a_cut_in_one_direction() -> None:
    """The end that hears nothing goes Down by silence, the other because it is told."""
    link = Link(FAST, FAST)
    link.run_until_settled()
    link.ends[0].deaf = True
    link.run(SECOND)
    assert [event.diagnostic for event in link.ends[0].events[-1:]] == [1]
    told = next(event for event in link.ends[1].events if event.after is State.DOWN)
    assert (told.diagnostic, told.remote_diagnostic) == (3, 1)
    silent_ns = link.ends[0].events[-1].at_ns
    assert told.at_ns == silent_ns + MS
    link.ends[0].deaf = False
    link.run_until_settled()


# Admin


def test_admin_down_and_back() -> None:
    """Disabled, it says so slowly with diagnostic 7; the peer goes Down; enabled, it comes back."""
    link = Link(FAST, FAST)
    link.run_until_settled()
    link.disable(0)
    assert link.ends[0].sent[-1][1].state is State.ADMIN_DOWN
    assert link.ends[0].sent[-1][1].diagnostic == Diagnostic.ADMINISTRATIVELY_DOWN
    link.run(10 * SECOND)
    assert (link.a.state, link.b.state) == (State.ADMIN_DOWN, State.DOWN)
    assert link.b.diagnostic is Diagnostic.NEIGHBOR_SIGNALED_SESSION_DOWN
    assert min(list(gaps(link, 0, link.ends[0].events[-1].at_ns))) >= 750 * MS
    assert set(link.ends[0].refused) == {Discard.ADMIN_DOWN}
    link.enable(0)
    link.run_until_settled()


def test_enabling_twice_changes_nothing() -> None:
    """A session that is not in AdminDown takes no notice of being enabled."""
    link = Link(FAST, FAST)
    link.run_until_settled()
    link.enable(0)
    assert link.a.state is State.UP


def test_a_session_can_begin_disabled() -> None:
    """It says AdminDown from its first packet on."""
    session = alone(enabled=False)
    session.advance(0, draw_ppm=0)
    assert [(p.state, p.diagnostic) for p in sent(session)] == [(State.ADMIN_DOWN, 7)]


# Authentication


@pytest.mark.parametrize(
    ("ours", "theirs", "reason"),
    [
        (None, KEYED, Discard.AUTH_UNEXPECTED),
        (KEYED, None, Discard.AUTH_MISSING),
        (KEYED, Authentication(AuthType.KEYED_SHA1, {1: b"other"}, 1), Discard.AUTH_DIGEST),
        (KEYED, Authentication(AuthType.KEYED_SHA1, {2: b"key"}, 2), Discard.AUTH_KEY_ID),
        (
            KEYED,
            Authentication(AuthType.METICULOUS_KEYED_SHA1, {1: b"key"}, 1),
            Discard.AUTH_TYPE,
        ),
    ],
)
def test_without_the_same_key_nothing_comes_up(
    ours: Authentication | None, theirs: Authentication | None, reason: Discard
) -> None:
    """Every packet is refused, for one reason, and the session stays Down."""
    link = Link(FAST, FAST, auth=(ours, theirs))
    link.run(20 * SECOND)
    assert set(link.ends[0].refused) == {reason}
    assert not link.ends[0].events


@pytest.mark.parametrize("auth_type", AuthType)
def test_a_peer_that_began_anew_is_heard_after_two_detection_times(auth_type: AuthType) -> None:
    """A restarted peer has another number: refused, until the old one is forgotten (6.8.1)."""
    agreed = Authentication(auth_type, {1: b"key"}, 1)
    link = Link(FAST, FAST, auth=(agreed, agreed))
    link.run_until_settled()
    last_ns, detection_ns = link.now_ns, link.a.detection_time_ns
    anew = Session(discriminator=55, settings=FAST, authenticator=Authenticator(agreed, 12345))
    link.ends[1].session = anew
    link.run_until_up()
    assert Discard.AUTH_SEQUENCE in link.ends[0].refused
    (began,) = (
        e.at_ns for e in link.ends[0].events if e.before is State.DOWN and e.at_ns > last_ns
    )
    assert began >= last_ns + 2 * detection_ns - 100 * MS


# Anything at all


@given(st.lists(st.tuples(PACKETS, st.integers(0, 3 * SECOND)), max_size=30), st.booleans())
def test_any_packets_move_the_state_as_the_oracle_says(
    packets: list[tuple[Packet, int]], enabled: bool
) -> None:
    """Whatever a peer says, the state follows 6.8.6, and asking when to wake up makes progress."""
    session, now_ns = alone(enabled=enabled), 0
    names = {state: state.name.title().replace("_", "") for state in State}
    for packet, wait_ns in packets:
        now_ns += wait_ns
        for _ in range(20):
            if session.next_deadline() > now_ns:
                break
            session.advance(now_ns, draw_ppm=PPM // 2)
            session.take()
        else:
            pytest.fail("it wants to be called for ever")
        expected, _ = state_after(names[session.state], names[packet.state])
        heard = replace(packet, your_discriminator=1, auth=b"")
        assert hear(session, heard, now_ns) is (None if enabled else Discard.ADMIN_DOWN)
        assert names[session.state] == expected
        assert session.remote_discriminator == packet.my_discriminator
        finals = [p for p in map(decode, session.take().packets) if p.final]
        assert len(finals) == (packet.poll and enabled)
