"""Two ends of tunnels that look for each other over a wire that loses, repeats and forges."""

from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.control.agent.meeting import (
    FIRST_NS,
    KEEP_NS,
    MAGIC_FALLBACK,
    End,
    Keys,
    Lane,
    Meeting,
    Met,
    Refusal,
    Where,
)
from patronus.engine.units import NEVER, SECOND

HERE, THERE = Where("192.0.2.1", 4511), Where("192.0.2.2", 4511)
KEY = bytes(range(32))


def meeting(name: str, session: int = 0, *, where: Where | None = None, row: int = 5,
            key: bytes = KEY) -> Meeting:  # fmt: skip
    peer = "b" if name == "a" else "a"
    lane = Lane(row=row, peer=peer, transport="lte", key=key, where=where, fixed=where is not None)
    return Meeting(name, [lane], session=session or ord(name), port=4789)


class Wire:
    """Carries datagrams between two ends, each at its place."""

    def __init__(self, a: Meeting, b: Meeting) -> None:
        self.ends = {HERE: a, THERE: b}
        self.under_way: deque[tuple[Where, Where, bytes]] = deque()
        self.met: list[tuple[Where, Met]] = []
        self.carried: list[tuple[Where, Where, bytes]] = []

    def wake(self, now_ns: int) -> None:
        for place, end in self.ends.items():
            self.under_way.extend((place, to, data) for _, to, data in end.wake(now_ns))

    def deliver(self, now_ns: int) -> None:
        while self.under_way:
            source, to, data = self.under_way.popleft()
            self.carried.append((source, to, data))
            assert len(self.carried) < 100, "they go on for ever"
            self.hand(source, to, data, now_ns)

    def hand(self, source: Where, to: Where, data: bytes, now_ns: int) -> None:
        said, met = self.ends[to].receive("lte", data, source, now_ns)
        self.under_way.extend((to, where, answer) for _, where, answer in said)
        if met is not None:
            self.met.append((to, met))


def joined() -> Wire:
    """Return two ends that have met; b learned where a is."""
    wire = Wire(meeting("a", where=THERE, row=7), meeting("b", row=9))
    wire.wake(0)
    wire.deliver(0)
    return wire


def test_both_ends_learn_each_others_row() -> None:
    """One of them knows the other's address; after three datagrams each knows the row."""
    wire = joined()
    assert {(to, met.peer_row, met.host) for to, met in wire.met} == {
        (HERE, 9, THERE.host), (THERE, 7, HERE.host),
    }  # fmt: skip
    assert len(wire.carried) <= 5


def test_ends_that_run_another_way_do_not_meet() -> None:
    """With BPF and without it tunnels do not fit together: refused under that name."""
    asking = meeting("a", where=THERE)
    lane = Lane(row=9, peer="a", transport="lte", key=KEY, where=None, fixed=False)
    bare = Meeting("b", [lane], session=9, port=4789, magic=MAGIC_FALLBACK)
    ((_, _, data),) = asking.wake(0)
    assert bare.receive("lte", data, HERE, 0) == ([], None)
    assert bare.refused == {Refusal.OTHER_WAY: 1}


def test_who_is_not_answered_asks_less_and_less_often() -> None:
    """Attempts are doubled up to five seconds; without an address nobody is asked."""
    asking, now_ns, times = meeting("a", where=THERE), 0, []
    for _ in range(10):
        times.append(now_ns)
        assert len(asking.wake(now_ns)) == 1
        now_ns = asking.next_deadline()
    steps = [b - a for a, b in pairwise(times)]
    assert steps[0] == FIRST_NS
    assert steps[-1] == 5 * SECOND
    assert meeting("a").next_deadline() == NEVER


def test_a_recording_changes_nothing() -> None:
    """Every datagram of a session that is over is answered at most, and never believed."""
    wire = joined()
    old = list(wire.carried)
    wire.ends[THERE] = fresh = meeting("b", session=77, where=HERE, row=11)
    for source, to, data in old:
        if to == THERE:
            _, met = fresh.receive("lte", data, source, SECOND)
            assert met is None
    wire.wake(SECOND)
    wire.deliver(SECOND)
    assert len(wire.met) >= 4
    assert {met.peer_row for to, met in wire.met[-2:]} == {7, 11}


def test_a_peer_that_starts_again_is_followed() -> None:
    """It has other rows and another session: it asks, and is believed once it has echoed ours."""
    wire = joined()
    wire.ends[THERE] = meeting("b", session=77, where=HERE, row=11)
    wire.wake(SECOND)
    wire.deliver(SECOND)
    assert (HERE, 11) in {(to, met.peer_row) for to, met in wire.met}


def test_order_within_a_session_is_kept() -> None:
    """A datagram that was overtaken or comes twice is refused."""
    wire = joined()
    before = wire.ends[THERE].refused[Refusal.OLD]
    wire.wake(KEEP_NS + 1)
    source, to, data = next(each for each in wire.under_way if each[1] == THERE)
    wire.deliver(KEEP_NS + 1)
    wire.hand(source, to, data, KEEP_NS + 2)
    assert wire.ends[THERE].refused[Refusal.OLD] == before + 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), Refusal.FORGED),
        (lambda data: data[:4] + b"\1x" + data[6:], Refusal.UNKNOWN),
        (lambda data: data[:20], Refusal.MALFORMED),
        (lambda data: b"", Refusal.MALFORMED),
        (lambda data: data + bytes(600), Refusal.MALFORMED),
    ],
)
def test_what_is_wrong_is_counted(change: object, why: Refusal) -> None:
    """Each kind of bad datagram has its counter, and is not answered."""
    ((_, _, data),) = meeting("a", where=THERE).wake(0)
    end = meeting("b")
    assert callable(change)
    assert end.receive("lte", change(data), HERE, 0) == ([], None)
    assert end.refused[why] == 1


OURS, HERS, ANOTHER, NONE = (bytes([number]) * 32 for number in (1, 2, 3, 0))


def hub_of(*peers: str) -> Meeting:
    """Return a site with WireGuard tunnels to some peers."""
    lanes = [
        Lane(row=row, peer=peer, transport="lte", key=KEY, where=Where(peer, 4511), fixed=True,
             keys=Keys((End(51_820, OURS), End())))
        for row, peer in enumerate(peers)
    ]  # fmt: skip
    return Meeting("a", lanes, session=7, port=4789)


def told(site: Meeting, name: str, public: bytes, *, session: int, outer: int = 51_820
         ) -> Met | None:  # fmt: skip
    """Let a site ask a peer that has just started; return what it believes of the answer."""
    keys = Keys((End(outer, public), End()))
    lane = Lane(row=1, peer="a", transport="lte", key=KEY, where=None, fixed=False, keys=keys)
    peer = Meeting(name, [lane], session=session, port=4789)
    now_ns = session * 2 * KEEP_NS
    (question,) = (data for _, to, data in site.wake(now_ns) if to.host == name)
    ((_, _, answer),), _ = peer.receive("lte", question, HERE, now_ns)
    return site.receive("lte", answer, Where(name, 4511), now_ns)[1]


@pytest.mark.parametrize("public", [OURS, HERS])
def test_a_key_that_is_taken_is_not_believed(public: bytes) -> None:
    """Ours or another peer's: the device would take no change of any peer any more."""
    site = hub_of("b", "c")
    assert told(site, "c", HERS, session=1)
    assert told(site, "b", public, session=2) is None
    assert site.refused[Refusal.KEY_TAKEN] == 1


def test_a_peer_may_tell_its_own_key_again() -> None:
    """After a restart, and a new one as well."""
    site = hub_of("b")
    assert told(site, "b", HERS, session=1)
    assert told(site, "b", HERS, session=2) is None, "that is no news"
    assert told(site, "b", ANOTHER, session=3)
    assert not site.refused[Refusal.KEY_TAKEN]


@pytest.mark.parametrize(("outer", "public"), [(0, HERS), (51_820, NONE)])
def test_a_device_without_a_port_or_a_key_is_nowhere(outer: int, public: bytes) -> None:
    """A peer that says that its device listens on port 0, or has no key, has no device."""
    met = told(hub_of("b"), "b", public, session=1, outer=outer)
    assert met is not None
    assert met.keys.there == (False, False)


@given(st.binary(max_size=600))
def test_rubbish_never_crashes(data: bytes) -> None:
    """Whatever the bytes are, nothing is met and nothing raised."""
    end = meeting("b", where=HERE)
    assert end.receive("lte", data, HERE, 0)[1] is None
    assert end.receive("lte", b"PAM2" + data, HERE, 0)[1] is None


def test_our_own_datagrams_are_nobody_elses() -> None:
    """Sent back to us, they are of no peer of ours."""
    end = meeting("a", where=THERE)
    ((_, _, data),) = end.wake(0)
    assert end.receive("lte", data, THERE, 0) == ([], None)
    assert end.refused[Refusal.UNKNOWN] == 1


ENDS = (End(51_820, bytes([1]) * 32), End(51_920, bytes([2]) * 32))


def test_news_of_keys_are_repeated_until_they_are_heard() -> None:
    """At once, then less and less often; what was heard is said no more."""
    wire = joined()
    a, news = wire.ends[HERE], Keys(ENDS, use=1, sends=2)
    assert a.is_heard(7)
    a.tell(7, news, SECOND)
    assert not a.is_heard(7)
    for now_ns in (SECOND, SECOND + FIRST_NS, SECOND + 3 * FIRST_NS):
        assert a.next_deadline() <= now_ns
        assert len(a.wake(now_ns)) == 1  # and lost on the way
    wire.wake(2 * SECOND)
    wire.deliver(2 * SECOND)
    assert a.is_heard(7)
    assert wire.met[-1] == (THERE, Met(5, 7, 4789, news, HERE.host)._replace(row=9))
    assert a.wake(3 * SECOND) == []
    a.tell(7, news, 4 * SECOND)
    assert a.is_heard(7), "nothing is news twice"


def test_a_peer_that_starts_again_has_heard_nothing() -> None:
    """What it had of us before does not count: it is told all of it."""
    wire = joined()
    wire.ends[HERE].tell(7, Keys(ENDS), 0)
    wire.wake(SECOND)
    wire.deliver(SECOND)
    wire.ends[THERE] = meeting("b", session=77, where=HERE, row=11)
    wire.met.clear()
    wire.wake(2 * SECOND)
    wire.deliver(2 * SECOND)
    assert wire.ends[HERE].is_heard(7)
    assert [met.keys for to, met in wire.met if to == THERE] == [Keys(ENDS)]


@pytest.mark.parametrize(
    ("ends", "there"),
    [
        ((End(0, bytes([1]) * 32), ENDS[1]), (False, True)),
        ((ENDS[0], End(7, bytes(32))), (True, False)),
        ((ENDS[0], End(7, ENDS[0].public)), (True, False)),
        (ENDS, (True, True)),
    ],
)
def test_a_key_that_is_none_is_not_there(ends: tuple[End, End], there: tuple[bool, bool]) -> None:
    """Without a port, of zeroes, or the same one twice: no device could be made of it."""
    wire = joined()
    wire.ends[HERE].tell(7, Keys(ends), 0)
    wire.wake(SECOND)
    wire.deliver(SECOND)
    assert wire.met[-1][1].keys.there == there
