"""Rosters together, over lines that lose, delay, repeat and reorder."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.control.members.messages import ANNOUNCEMENT_BYTES_MAX, PIECES_MAX
from patronus.control.members.reason import Reason
from patronus.control.members.seeker import Places
from patronus.control.members.standing import Standing
from patronus.control.members.timing import Timing
from patronus.engine.announcement import encode
from patronus.engine.units import MINUTE, MS, SECOND
from tests.control.members.fleet import (
    ALL,
    OPERATOR,
    Line,
    World,
    all_live,
    announcement,
    certificate,
    long,
    place,
    trio,
)

HOUR = 60 * MINUTE


LINES = st.builds(
    Line,
    loss_ppm=st.sampled_from([0, 50_000, 200_000]),
    twice_ppm=st.sampled_from([0, 200_000]),
    delay_ns=st.sampled_from([(0, 0), (5 * MS, 5 * MS), (1 * MS, 400 * MS)]),
)


@settings(max_examples=15)
@given(LINES, st.integers(0, 2**20), st.sampled_from([1, 20, 500]))
def test_everybody_finds_everybody_and_learns_the_last(line: Line, seed: int, size: int) -> None:
    """Joined through one seed, each learns the others' announcements in order, and the last.

    The line is whole in the end; what was lost before must have been made good by then.
    """
    world = World(seed=seed, line=line)
    trio(world)
    assert world.run(10 * MINUTE, lambda: all_live(world))
    for version in range(1, 6):
        for name in ALL:
            world.announce(name, long(name, version, size))
        world.run(SECOND)
    world.line = Line()
    world.run(10 * SECOND)
    for name in ALL:
        for origin in set(ALL) - {name}:
            told = world.sites[name].of(origin)
            versions = [a.sent_ns for a in told]
            assert versions == sorted(set(versions))
            assert versions[-1] == 5
            assert [a.counter for a in told] == list(range(1, len(told) + 1))
            assert len(told[-1].targets) == size
    assert all(site.roster.pending_bytes == 0 for site in world.sites.values())


@given(LINES, st.integers(0, 2**20))
@settings(max_examples=25)
def test_a_healed_line_brings_everybody_back(line: Line, seed: int) -> None:
    """After a cut of any sort, and a bad line, sites find back together in bounded time."""
    world = World(seed=seed)
    trio(world)
    assert world.run(MINUTE, lambda: all_live(world))
    world.line = line
    world.cut = {("a", "b"), ("b", "a"), ("c", "a")}
    world.run(5 * MINUTE)
    assert "b" not in world.sites["a"].roster.live()
    world.cut = set()
    assert world.run(10 * MINUTE, lambda: all_live(world))


def test_one_seed_is_enough() -> None:
    """Sites that know one seed alone know each other within a second."""
    world = World()
    trio(world)
    assert world.run(SECOND, lambda: all_live(world))


def test_the_dead_are_out_and_the_living_stay() -> None:
    """A killed site is stale after the stated time, and live again after its restart."""
    world = World()
    trio(world)
    world.run(10 * SECOND)
    world.kill("c")
    stale_ns = Timing().stale_ns
    world.run(stale_ns - 8 * SECOND)
    assert world.sites["a"].roster.live() == ["b", "c"]
    world.run(9 * SECOND)
    for name in ("a", "b"):
        assert world.sites[name].roster.standing("c") is Standing.STALE
        assert world.sites[name].learned == [], "silence is no withdrawal: fail static"
    trio(world, ["c"])
    assert world.run(SECOND, lambda: all_live(world))


def test_who_leaves_is_gone_at_once() -> None:
    """A farewell withdraws what was announced, and lets the site go as soon as all have heard."""
    world = World()
    trio(world)
    world.run(SECOND)
    world.announce("c", announcement("c", 1, ["x"]))
    world.run(SECOND)
    leaver = world.sites["c"]
    leaver.roster.leave(world.at)
    leaver.roster.leave(world.at)
    world.carry(leaver)
    assert not leaver.roster.gone
    assert world.run(50 * MS, lambda: leaver.roster.gone)
    for name in ("a", "b"):
        assert world.sites[name].roster.standing("c") is Standing.LEFT
        last = world.sites[name].of("c")[-1]
        assert (last.lan_up, last.destinations, last.targets) == (False, (), ())
        encode(last)
    assert not world.announce("c", announcement("c", 2))
    world.run(5 * MINUTE)
    assert leaver.roster.next_deadline() > world.now_ns
    assert not leaver.changes[-1:] or leaver.changes[-1].after is Standing.LIVE
    asked = [to for to, _ in world.sites["a"].sent[-20:] if to == leaver.where]
    assert len(asked) <= 2, "nobody asks for one who has left"
    trio(world, ["c"])
    assert world.run(SECOND, lambda: all_live(world))


def test_a_farewell_that_nobody_hears_ends_too() -> None:
    """A site that is cut off goes after a few attempts."""
    world = World()
    trio(world)
    world.run(SECOND)
    world.cut = {("c", "a"), ("c", "b")}
    leaver = world.sites["c"]
    leaver.roster.leave(world.at)
    world.carry(leaver)
    assert world.run(SECOND, lambda: leaver.roster.gone)
    farewells = [d for _, d in leaver.sent if d[3] == 4]
    assert len(farewells) == 6


def test_two_who_leave_do_not_wait_for_each_other() -> None:
    """Farewells that cross are as good as acknowledged."""
    world = World()
    trio(world)
    world.run(SECOND)
    for name in ("a", "b", "c"):
        world.sites[name].roster.leave(world.at)
        world.carry(world.sites[name])
    gone = [site.roster for site in world.sites.values()]
    assert world.run(20 * MS, lambda: all(roster.gone for roster in gone))


def test_a_farewell_alone_is_over_at_once() -> None:
    """Who knows nobody need not wait."""
    world = World()
    world.add("a")
    world.sites["a"].roster.leave(world.at)
    assert world.sites["a"].roster.gone


@pytest.mark.parametrize("jump_ns", [-HOUR, HOUR, -20 * 365 * 24 * HOUR])
@pytest.mark.parametrize("restart", [False, True])
def test_a_clock_that_jumps_throws_nobody_out(jump_ns: int, restart: bool) -> None:
    """Timers do not see the wall clock, and numbers grow whatever it does."""
    world = World()
    trio(world)
    world.announce("b", announcement("b", 1))
    world.run(30 * SECOND)
    world.wall_ns += jump_ns
    if restart:
        world.add("b", pinned=ALL, seeds=["a"], ceiling=world.sites["b"].counter.raised())
    world.run(2 * SECOND)
    assert all_live(world)
    world.announce("b", announcement("b", 2))
    world.run(SECOND)
    for name in ("a", "c"):
        assert [x.sent_ns for x in world.sites[name].of("b")] == [1, 2]
        stales = [c for c in world.sites[name].changes if c.after is Standing.STALE]
        assert not stales


def test_a_site_without_memory_and_clock_comes_back_when_the_others_restart() -> None:
    """The one case in which numbers shrink is refused as a replay; a new session ends that."""
    world = World()
    trio(world)
    world.run(10 * SECOND)
    world.wall_ns -= HOUR
    trio(world, ["b"])
    world.run(10 * SECOND)
    a = world.sites["a"].roster
    assert a.refused[Reason.REPLAYED] > 0
    world.add("a", pinned=ALL, ceiling=world.sites["a"].counter.raised())
    assert world.run(MINUTE, lambda: world.sites["a"].roster.live() == ["b", "c"])


def certified(
    world: World, name: str, *, seeds: list[str], keys: str | None = None, serial: int = 1
) -> None:
    shown = certificate(name, keys, serial=serial)
    world.add(name, seeds=seeds, operator=OPERATOR.public, keys=keys, certificate=shown)


def test_certified_sites_need_no_pins() -> None:
    """Two dozen sites that know one seed and the operator's key know each other."""
    world = World()
    names = [f"site-{n:02}" for n in range(24)]
    for name in names:
        certified(world, name, seeds=[] if name == names[0] else names[:1])
    assert world.run(30 * SECOND, lambda: all_live(world))
    refused = {reason for site in world.sites.values() for reason in site.roster.refused}
    assert refused <= {Reason.REPLAYED, Reason.UNPROVEN}


def test_a_new_certificate_ends_the_old_key() -> None:
    """A stolen key is out once its site shows a certificate of a higher serial."""
    world = World()
    certified(world, "a", seeds=[])
    certified(world, "b", seeds=["a"], keys="stolen")
    assert world.run(SECOND, lambda: all_live(world))
    world.announce("b", announcement("b", 1))
    world.run(SECOND)
    thief = world.sites.pop("b")
    certified(world, "b", seeds=["a"], keys="fresh", serial=2)
    assert world.run(SECOND, lambda: all_live(world))
    a = world.sites["a"]
    world.announce("b", announcement("b", 2))
    world.run(SECOND)
    assert [x.sent_ns for x in a.of("b")] == [1, 2]
    thief.roster.announce(announcement("b", 3), world.at)
    world.run(30 * SECOND)
    for _, datagram in [*thief.sent, *thief.roster.take().sends]:
        reason = world.deliver(a, datagram, thief.where)
        assert reason in {Reason.WRONG_KEY, Reason.CERTIFICATE_OLD}
    assert [x.sent_ns for x in a.of("b")] == [1, 2]
    assert all_live(world)


def test_a_seed_introduces_only_who_is_enrolled() -> None:
    """What a peer tells of a site that the operator has not signed is counted and forgotten."""
    world = World()
    world.add("a", pinned=["b", "c"])
    world.add("b", pinned=["a", "c"], seeds=["a"])
    world.add("c", pinned=["a"], seeds=["a"])
    world.run(10 * SECOND)
    assert world.sites["b"].roster.live() == ["a"]
    assert world.sites["b"].roster.standing("c") is Standing.JOINING, "it is asked in vain"
    assert world.sites["c"].roster.live() == ["a"]
    assert world.sites["c"].roster.refused[Reason.NOT_ENROLLED] > 0
    assert world.sites["c"].roster.standing("b") is Standing.UNKNOWN


def test_a_configured_place_is_the_only_one() -> None:
    """A peer with a configured address is sent to nowhere else, whoever relays its datagrams."""
    world = World()
    for name, other in (("a", "b"), ("b", "a")):
        world.add(name, pinned=ALL, places=Places(configured={other: (place(other),)}))
    world.run(SECOND)
    a, b = world.sites["a"], world.sites["b"]
    b.roster.wake(world.at)
    world.cut = {("b", "a")}
    world.run(10 * SECOND)
    for _, datagram in b.sent[-2:]:
        world.deliver(a, datagram, place("evil"))
    world.cut = set()
    world.run(10 * SECOND)
    assert place("evil") not in {to for to, _ in a.sent}
    assert a.roster.remembered() == {"b": place("b")}


def test_a_peer_may_move() -> None:
    """Without a configured address the newest proof says where a peer is."""
    world = World()
    trio(world)
    world.run(SECOND)
    moved = world.sites["c"]
    moved.where = place("elsewhere")
    assert world.run(10 * SECOND, lambda: world.sites["a"].roster.remembered()["c"] == moved.where)
    world.run(MINUTE)
    assert all_live(world)


def test_seeds_are_asked_less_and_less_often() -> None:
    """Nobody floods a seed that does not answer; the wait is bounded, too."""
    world = World()
    world.add("b", pinned=ALL, seeds=["a"])
    site = world.sites["b"]
    world.run(HOUR)
    assert 55 <= len(site.sent) <= 90
    trio(world, ["a"])
    assert world.run(80 * SECOND, lambda: "a" in site.roster.live())


def test_the_same_content_keeps_its_version_and_a_new_start_does_not() -> None:
    """The engine may keep contents by version: equal ones are of one session and version."""
    world = World()
    trio(world)
    world.run(SECOND)
    for _ in range(2):
        for version in (5, 5, 6):
            world.announce("b", announcement("b", version))
            world.run(SECOND)
        world.add("b", pinned=ALL, seeds=["a"])
        world.run(SECOND)
    told = world.sites["a"].of("b")
    assert [a.version for a in told] == [1, 1, 2, 3, 3, 4]
    assert [a.counter for a in told] == [1, 2, 3, 4, 5, 6]


def test_a_long_announcement_gets_through_however_often_it_changes() -> None:
    """One that takes many bursts is finished before a newer one takes its place."""
    world = World(line=Line(delay_ns=(150 * MS, 200 * MS), loss_ppm=20_000))
    trio(world)
    world.run(MINUTE, lambda: all_live(world))
    size = 2500
    assert PIECES_MAX * 3 // 4 < len(encode(long("b", 1, size))) // 864 < PIECES_MAX
    for version in range(1, 60):
        world.announce("b", long("b", version, size))
        world.run(300 * MS)
    got = world.sites["a"].of("b")
    assert len(got) >= 5
    assert got[-1].sent_ns > 45


def test_a_peer_that_restarts_in_the_middle_is_brought_all_of_it() -> None:
    """What was under way to its last session begins anew, without another announcement."""
    world = World(line=Line(delay_ns=(150 * MS, 150 * MS)))
    trio(world)
    world.run(MINUTE, lambda: all_live(world))
    world.announce("b", long("b", 1, 2500))
    world.run(400 * MS)
    assert world.sites["a"].roster.pending_bytes > 0
    trio(world, ["a"])
    assert world.run(70 * SECOND, lambda: [x.sent_ns for x in world.sites["a"].of("b")] == [1])


def test_what_does_not_fit_is_counted_and_not_sent() -> None:
    """An overlay that outgrew the format is seen in a counter, and nothing breaks."""
    world = World()
    trio(world)
    world.run(SECOND)
    huge = long("b", 1, 4000)
    assert len(encode(huge)) > ANNOUNCEMENT_BYTES_MAX
    assert not world.announce("b", huge)
    assert world.sites["b"].roster.unsent == 1
    with pytest.raises(ValueError, match="does not speak for a"):
        world.announce("b", announcement("a", 1))
    world.run(SECOND)
    assert all_live(world)


def test_a_peer_that_does_not_acknowledge_is_not_sent_to_for_ever() -> None:
    """Attempts are bounded; the peer is brought the next announcement all the same."""
    world = World()
    trio(world)
    world.run(SECOND)
    world.cut = {("a", "b")}
    before = len(world.sites["b"].sent)
    world.announce("b", announcement("b", 1))
    world.run(15 * SECOND)
    pieces = [d for to, d in world.sites["b"].sent[before:] if d[3] == 1 and to == place("a")]
    assert len(pieces) == 5
    assert world.sites["b"].roster.given_up == 1
    world.cut = set()
    world.announce("b", announcement("b", 2))
    world.run(SECOND)
    assert world.sites["a"].of("b")[-1].sent_ns == 2


def test_the_engine_is_told_for_whom() -> None:
    """What comes out is what the engine's ``learn`` takes: whose it is, and the announcement."""
    world = World()
    trio(world)
    world.run(SECOND)
    world.announce("b", announcement("b", 1))
    site = world.sites["a"].roster
    heard: list[tuple[bytes, object]] = []
    for to, datagram in world.sites["b"].sent:
        if to == place("a") and datagram[3] == 1:
            heard.append((datagram, site.receive(datagram, place("b"), world.at)))
    ((here, told),) = site.take().received
    assert here.tolist() == [0]
    assert told.origin == "b"
