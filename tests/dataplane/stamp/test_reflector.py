"""Two ends of a session in user space, over a wire of virtual time."""

from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.stamp.fields import Refusal
from patronus.dataplane.stamp.packet import Reflection
from patronus.dataplane.stamp.peer import Peer
from patronus.dataplane.stamp.reflector import Reflector
from patronus.dataplane.stamp.session import Sample, Session
from patronus.dataplane.stamp.tlv import NEVER_HEARD, Tlv, Type, liveness_of
from patronus.engine import fastpath
from patronus.engine.units import MS, SECOND

KEY = b"secret"
INTERVAL, DETECT = 100 * MS, 300 * MS
AHEAD = 77 * SECOND
"""The far end's clock."""


class Pair:
    """Both ends; each probe of ours takes 10 ms out and 20 ms back unless cut."""

    def __init__(self) -> None:
        self.near, self.far = Peer(5, DETECT), Peer(5, DETECT)
        self.session = Session("a>b", INTERVAL, ssid=7, session=5)
        self.reflector = Reflector(KEY, 7, self.far)
        self.now_ns = self.session.due_ns(SECOND)

    def probe(self, *, out: bool = True, back: bool = True) -> Sample | None:
        now_ns = self.now_ns
        self.now_ns += INTERVAL
        self.near.probes_sent += 1
        tlv = Tlv(Type.LIVENESS, self.near.liveness(now_ns).pack())
        data = self.session.send(now_ns, tlv.pack()).pack(KEY)
        if not out:
            return None
        there_ns = now_ns + 10 * MS + AHEAD
        answer = self.reflector.take(data, ttl=255, received_ns=there_ns, now_ns=there_ns)
        assert answer is not None
        assert len(answer) == len(data)
        return self.reflection(answer, now_ns + 30 * MS) if back else None

    def reflection(self, answer: bytes, at_ns: int) -> Sample:
        reflection = Reflection.parse(answer, KEY)
        told = liveness_of(reflection.tlvs)
        sample = self.session.take(reflection, at_ns, told)
        assert isinstance(sample, Sample)
        self.near.arrive(told, at_ns, reflection=True)
        return sample


def test_reflections_confirm_and_probes_let_hear() -> None:
    """Our end is confirmed by its reflection; the far one hears us, and is told so next time."""
    pair = Pair()
    start_ns = pair.now_ns
    sample = pair.probe()
    assert sample is not None
    assert (sample.rtt_ns, sample.heard_count) == (30 * MS, 1)
    assert pair.near.tunnel.confirmed_ns == pair.near.tunnel.heard_ns == start_ns + 30 * MS
    assert pair.far.tunnel.heard_ns == start_ns + 10 * MS + AHEAD
    assert not fastpath.fresh(pair.far.tunnel.confirmed_ns, DETECT, start_ns + AHEAD)
    pair.probe()
    assert fastpath.fresh(pair.far.tunnel.confirmed_ns, DETECT, pair.now_ns + AHEAD)


def test_a_deaf_end_says_so_at_once() -> None:
    """When nothing comes back any more, our probes clear H and the far proof ends with them."""
    pair = Pair()
    for back in (True, True, False, False, False):
        pair.probe(back=back)
    now_ns = pair.now_ns + AHEAD
    assert fastpath.fresh(pair.far.tunnel.confirmed_ns, DETECT, now_ns)
    pair.probe(back=False)
    assert not fastpath.fresh(pair.far.tunnel.confirmed_ns, DETECT, now_ns + 10 * MS)
    assert fastpath.fresh(pair.far.tunnel.heard_ns, DETECT, now_ns + 10 * MS)


@given(ways=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_both_ends_count_the_losses_of_their_way(ways: list[tuple[bool, bool]]) -> None:
    """A reflection that comes back tells just how many of our probes were heard."""
    pair, heard = Pair(), 0
    for out, back in ways:
        heard += out
        sample = pair.probe(out=out, back=back)
        assert (sample is not None) == (out and back)
        if sample is not None:
            assert sample.heard_count == heard == pair.far.probes_heard
            told = pair.far.liveness(pair.now_ns + AHEAD)
            assert (told.probes_told, told.probes_heard) == (pair.session.sent, heard)


def test_a_new_peer_was_never_heard() -> None:
    """Before anything came the age is unknown, not zero."""
    peer = Peer(5, DETECT)
    assert peer.liveness(SECOND).heard_age_us == NEVER_HEARD
    assert not peer.liveness(SECOND).hears


@given(data=st.binary(max_size=250), at=st.integers(0, 175))
def test_hostile_probes_are_counted_and_get_no_answer(data: bytes, at: int) -> None:
    """Rubbish, and a good probe with one octet changed, leave the stamps alone."""
    pair = Pair()
    tlv = Tlv(Type.LIVENESS, pair.near.liveness(0).pack())
    good = bytearray(pair.session.send(pair.now_ns, tlv.pack()).pack(KEY))
    assert len(good) == 112 + 48 + 20
    good[at] ^= 0x55
    before = pair.far.tunnel
    for hostile in (data, bytes(good)):
        assert pair.reflector.take(hostile, ttl=1, received_ns=0, now_ns=0) is None or at == 160
    if at != 160:  # the flags of the HMAC TLV itself, which nothing covers
        assert sum(pair.reflector.refused.values()) == 2
        assert pair.far.tunnel == before


def test_another_session_is_not_answered() -> None:
    """The right key with another identifier is not enough."""
    pair = Pair()
    tlv = Tlv(Type.LIVENESS, Peer(6, DETECT).liveness(0).pack())
    data = pair.session.send(pair.now_ns, tlv.pack()).pack(KEY)
    assert pair.reflector.take(data, ttl=1, received_ns=0, now_ns=0) is None
    assert pair.reflector.other_session == 1
    data = pair.session.send(pair.now_ns + INTERVAL).pack(KEY)
    assert pair.reflector.take(data, ttl=1, received_ns=0, now_ns=0) is None
    assert pair.reflector.refused[Refusal.NO_LIVENESS] == 1
