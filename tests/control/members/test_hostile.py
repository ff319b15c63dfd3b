"""Whoever has no key changes nothing: not what the engine learns, not how much is kept."""

import random
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.control.members.address import Address
from patronus.control.members.envelope import DATAGRAM_BYTES_MAX, Envelope, Kind, seal
from patronus.control.members.limiter import SOURCES_MAX, STRANGERS
from patronus.control.members.messages import Join, pieces
from patronus.control.members.reason import Reason
from patronus.control.members.standing import Standing
from patronus.engine.announcement import encode
from patronus.engine.units import SECOND
from tests.control.members.fleet import (
    ALL,
    Site,
    World,
    all_live,
    announcement,
    identity,
    long,
    place,
    trio,
)

Heard = list[tuple[bytes, Address]]


def history() -> tuple[World, Heard]:
    """Return three sites that have said something, restarted, and said more; and all of it."""
    world = World()
    recorded: Heard = []
    for version in (1, 2):
        trio(world)
        world.run(5 * SECOND)
        for name in ALL:
            world.announce(name, long(name, version, 40))
        world.run(10 * SECOND)
        recorded += [heard for site in world.sites.values() for heard in site.heard]
    assert all_live(world)
    return world, recorded


def snapshot(site: Site) -> object:
    """Return everything that an attacker must not be able to change."""
    roster = site.roster
    told = [encode(a) for a in site.learned]
    return told, roster.live(), roster.remembered(), roster.pending_bytes, len(site.changes)


def altered(data: bytes, how: str, luck: random.Random) -> bytes:
    """Do to a datagram what somebody without a key can do."""
    broken = bytearray(data)
    at = luck.randrange(len(broken))
    match how:
        case "flip":
            broken[at] ^= 1 << luck.randrange(8)
        case "cut":
            del broken[at:]
        case "grow":
            broken += luck.randbytes(luck.randrange(1, 2000))
        case "splice":  # the signature of another datagram
            broken[-64:] = luck.randbytes(64)
        case "counter":
            broken[4:12] = luck.randbytes(8)
        case "rubbish":
            broken[:] = luck.randbytes(luck.randrange(DATAGRAM_BYTES_MAX + 10))
    return bytes(broken)


HOW = st.sampled_from(["replay", "replay", "flip", "cut", "grow", "splice", "counter", "rubbish"])
ATTACKS = st.lists(
    st.tuples(HOW, st.sampled_from(ALL), st.integers(0, 2**30), st.sampled_from(["own", "evil"])),
    min_size=1,
    max_size=60,
)
WORLD, RECORDED = history()


@settings(max_examples=100)
@given(ATTACKS)
def test_no_attack_without_a_key_changes_anything(
    attacks: list[tuple[str, str, int, str]],
) -> None:
    """Recordings of this and of earlier sessions, forged and damaged datagrams: all refused."""
    before = [snapshot(site) for site in WORLD.sites.values()]
    for how, target, number, source in attacks:
        luck = random.Random(number)
        data, origin = RECORDED[number % len(RECORDED)]
        site = WORLD.sites[target]
        where = origin if source == "own" else place("evil")
        sent = len(site.sent)
        reason = WORLD.deliver(site, altered(data, how, luck), where)
        # A recording of a JOIN would be answered to one who is not live; these all are.
        assert reason is not None
        assert len(site.sent) - sent <= 1, "nobody is made to flood"
        WORLD.now_ns += SECOND // 20
    assert [snapshot(site) for site in WORLD.sites.values()] == before


@settings(max_examples=30)
@given(ATTACKS)
def test_a_site_that_lost_everything_believes_no_recording(
    attacks: list[tuple[str, str, int, str]],
) -> None:
    """After a start without any memory everything ever recorded teaches it nothing."""
    world = World(seed=7)
    victim = world.add("a", pinned=ALL)
    for how, _, number, source in attacks:
        data, origin = RECORDED[number % len(RECORDED)]
        where = origin if source == "own" else place("evil")
        world.deliver(victim, altered(data, how, random.Random(number)), where)
        world.run(SECOND // 10)
    assert not victim.learned
    assert not victim.roster.live()
    assert victim.roster.pending_bytes == 0
    assert len(victim.sent) <= 3 * len(attacks) + 10


def test_a_recording_outlives_no_restart() -> None:
    """All that was said before a restart, in its order, brings no dead site back to life."""
    world, recorded = history()
    for name in ("b", "c"):
        world.kill(name)
    victim = world.add("a", pinned=ALL)
    for data, origin in recorded:
        world.deliver(victim, data, origin)
        world.run(SECOND // 20)
    assert not victim.learned
    assert victim.roster.live() == []
    assert {victim.roster.standing(name) for name in "bc"} == {Standing.JOINING}
    assert victim.roster.refused[Reason.UNPROVEN] > 10


def rubbish(luck: random.Random) -> bytes:
    return luck.randbytes(luck.randrange(1, DATAGRAM_BYTES_MAX))


def invented(luck: random.Random) -> bytes:
    """Return a datagram in perfect form of a site that nobody has enrolled."""
    me = identity("stranger")
    body = Join("", None).encode()
    name = f"site-{luck.random()}"
    return seal(Envelope(Kind.JOIN, name, me.public.id, 2**60, 1, echo=0, body=body), me)


def unsigned(luck: random.Random) -> bytes:
    """Return a datagram of an enrolled site, but for the signature."""
    whole = encode(announcement("b", luck.randrange(1000)))
    body = pieces(whole)[0].encode()
    return seal(
        Envelope(
            Kind.ANNOUNCE, "b", identity("b").public.id, luck.getrandbits(63),
            luck.getrandbits(64), echo=0, body=body,
        ),
        identity("stranger"),
    )  # fmt: skip


@pytest.mark.parametrize("make", [rubbish, invented, unsigned])
def test_a_flood_takes_no_memory(make: Callable[[random.Random], bytes]) -> None:
    """Tens of thousands of datagrams of as many sources leave nothing but counts."""
    world, _ = history()
    site, luck = world.sites["a"], random.Random(1)
    flood = [make(luck) for _ in range(200)]

    def strike(count: int) -> None:
        for _ in range(count):
            source = Address(f"10.{luck.randrange(256)}.{luck.randrange(256)}.7", 7)
            site.roster.receive(luck.choice(flood), source, world.at)
            world.now_ns += SECOND // 10_000

    strike(3000)
    before = snapshot(site)
    tracemalloc.start()
    try:
        strike(20_000)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The tables of sources are full in the end: 200 bytes each.
    assert grown < SOURCES_MAX * 300
    assert snapshot(site) == before
    assert sum(site.roster.refused.values()) >= 23_000
    assert len(site.roster._strangers) <= SOURCES_MAX


def test_a_flood_of_strangers_does_not_touch_members() -> None:
    """While strangers get no more signatures looked at, members announce as before."""
    world, _ = history()
    luck = random.Random(2)
    forged = [unsigned(luck) for _ in range(100)]
    site, learned = world.sites["a"], len(world.sites["a"].of("b"))
    for second in range(3):
        for _ in range(3000):
            source = (
                place("b") if luck.random() < 0.5 else Address(f"10.8.8.{luck.randrange(9)}", 7)
            )
            site.roster.receive(luck.choice(forged), source, world.at)
        world.announce("b", announcement("b", 100 + second))
        world.run(SECOND)
    assert [a.sent_ns for a in site.of("b")[learned:]] == [100, 101, 102]
    assert site.roster.live() == ["b", "c"]
    most = 3 * SECOND // STRANGERS.total_interval_ns + STRANGERS.total_burst
    assert 0 < site.roster.refused[Reason.SIGNATURE] <= most
    assert site.roster.refused[Reason.LIMITED] > 5000


def test_enrolled_peers_that_turn_hostile_stay_within_bounds() -> None:
    """A peer with a key can lie about itself, and no more: nothing crashes, memory is bounded."""
    world, _ = history()
    site, luck = world.sites["a"], random.Random(3)
    b = identity("b")
    session, top = int.from_bytes(world.sites["b"].sent[0][1][12:20], "little"), 2**61
    echo = int.from_bytes(site.sent[0][1][12:20], "little")
    learned = len(site.learned)
    for number in range(3000):
        kind = luck.choice([Kind.ANNOUNCE, Kind.JOIN, Kind.PEERS, Kind.ACK])
        good = {
            Kind.ANNOUNCE: luck.randrange(200).to_bytes(2, "little") + b"\xc0\0" + bytes(864),
            Kind.JOIN: b"\0\0",
            Kind.PEERS: b"\1\0\1\0\1" + bytes([97 + luck.randrange(26)]) + b"\1\4\x0a\0\0\1\1\1",
            Kind.ACK: luck.randbytes(8) + b"\x02" + luck.randbytes(2),
        }[kind]
        body = good if luck.random() < 0.7 else luck.randbytes(luck.randrange(300))
        data = seal(
            Envelope(kind, "b", b.public.id, top + number // 300, session, echo=echo, body=body), b
        )
        site.roster.receive(data, place("b"), world.at)
        out = site.roster.take()
        assert len(out.sends) <= 2
        assert not out.received
        world.now_ns += SECOND // 1000
    assert len(site.learned) == learned
    assert min(site.roster.accepted[kind] for kind in (Kind.ANNOUNCE, Kind.PEERS)) > 5
    assert site.roster.pending_bytes <= 192 * 1024
    assert "b" in site.roster.live()
    assert site.roster.standing("z") is Standing.UNKNOWN
    assert len(site.roster._peers) == 2
