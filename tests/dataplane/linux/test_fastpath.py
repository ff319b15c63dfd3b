"""The kernel against the reference: ``engine/fastpath.py`` decides what is right."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP

from patronus.dataplane.linux.moves import MoveReader
from patronus.dataplane.linux.prefixes import Target
from patronus.dataplane.linux.records import Note, Outcome
from patronus.engine.fastpath import (
    Counter,
    Entry,
    Packet,
    Tunnel,
    arrive,
    hears,
    release,
    steer,
    usable,
)
from patronus.engine.forwarding import NO_ROW
from patronus.engine.units import LONG_AGO, NEVER
from tests.dataplane.linux.kit import Kit, lan, outer, wrapped
from tests.mutants.harness import caught

pytestmark = pytest.mark.root

ROWS = 4
FRAME = bytes(lan(IP(src="10.0.0.7", dst="10.1.0.9") / UDP(sport=1000, dport=2000)))
INNER = IP(src="10.1.0.9", dst="10.0.0.7") / UDP(sport=1000, dport=2000)

OUTCOMES = {
    Counter.PRIMARY: Outcome.STEER_PRIMARY,
    Counter.BACKUP: Outcome.STEER_BACKUP,
    Counter.ALL_DEAD: Outcome.STEER_ALL_DEAD,
    Counter.DROPPED: Outcome.DROP_ALL_DEAD,
    Counter.NO_PATH: Outcome.DROP_NO_PATH,
}
EPOCHS = st.sampled_from([0, -(10**9), 10**15])
"""Times lie near one of these; a stamp may also have been set never."""


class World(NamedTuple):
    """A moment of some tunnels and one entry."""

    now: int
    tunnels: list[Tunnel]
    entry: Entry
    hold: int
    heartbeat: int
    stale_after: int


@st.composite
def tunnels(draw: st.DrawFn, now: int) -> Tunnel:
    """Draw a tunnel as the rule leaves them: silent ones are latched."""
    near = st.integers(now - 12, now)
    stamp = near | st.just(LONG_AGO)
    since = draw(near | st.just(NEVER))
    return Tunnel(
        detect_ns=draw(st.integers(0, 8)),
        heard_ns=draw(stamp),
        confirmed_ns=draw(stamp),
        sequence=draw(st.integers(-1, 5) | st.integers(2**32 - 5, 2**32 - 1)),
        latched=since == NEVER or draw(st.booleans()),
        since_ns=since,
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    now = draw(EPOCHS)
    row = st.sampled_from([NO_ROW, *range(ROWS)])
    return World(
        now=now,
        tunnels=[draw(tunnels(now)) for _ in range(ROWS)],
        entry=Entry(draw(st.tuples(row, row, row)), draw(st.booleans()), draw(row)),
        hold=draw(st.integers(0, 12)),
        heartbeat=draw(st.integers(now - 12, now) | st.just(LONG_AGO)),
        stale_after=draw(st.integers(0, 8)),
    )


def write(kit: Kit, row: int, tunnel: Tunnel) -> None:
    for name, value in tunnel._asdict().items():
        kit.tunnels[name][row] = value


def read(kit: Kit, row: int) -> Tunnel:
    return Tunnel(**{name: kit.tunnels[name][row].item() for name in Tunnel._fields})


def prepare(kit: Kit, world: World) -> None:
    kit.at(world.now)
    kit.settings["hold_ns"], kit.settings["heartbeat_ns"] = world.hold, world.heartbeat
    kit.settings["stale_after_ns"] = world.stale_after
    for row, tunnel in enumerate(world.tunnels):
        write(kit, row, tunnel)
    kit.entry(1, *world.entry.rows, drop=world.entry.drop)
    kit.used["row"][1] = world.entry.last + 1


def ready(kit: Kit) -> Kit:
    """Return a site with tunnels to one destination."""
    kit.clear()
    kit.route({"10.1.0.0/16": Target(1), "10.0.0.0/16": Target(0, True)})
    for row in range(ROWS):
        kit.tunnel(row)
    return kit


@pytest.fixture
def site(kit: Kit) -> Kit:
    return ready(kit)


def steers(site: Kit, world: World) -> None:
    prepare(site, world)
    after = [released(tunnel, world) for tunnel in world.tunnels]
    expected = steer(world.entry, dict(enumerate(after)), world.now)
    seen = site.run("steer_lan", FRAME)
    assert seen.outcome is OUTCOMES[expected.counter]
    if expected.row != NO_ROW:
        overlay = outer(seen)[1]
        assert overlay.tunnel == expected.row + 100
        assert overlay.hears == hears(after[expected.row], world.now)
    for row, tunnel in enumerate(world.tunnels):
        # The kernel looks at candidates, and at those only until one will do.
        assert read(site, row) in (tunnel, after[row])
    for row in looked_at(world.entry.rows, after, world.now):
        assert read(site, row) == after[row]
    moves = MoveReader(site.pins).take()
    moved = [(world.now, 1, world.entry.last, expected.row)]
    columns = moves.at_ns, moves.entries, moves.from_rows, moves.to_rows
    found = list(zip(*(column.tolist() for column in columns), strict=True))
    assert found == (moved if expected.row != world.entry.last else [])
    assert site.used["row"][1] == expected.row + 1


def test_every_packet_goes_where_the_reference_sends_it(site: Kit) -> None:
    """Row, counter, H bit, latches, moves: the same for any stamps, latches, entry and time."""

    @settings(max_examples=600)
    @given(worlds())
    def alike(world: World) -> None:
        steers(site, world)

    alike()


def released(tunnel: Tunnel, world: World) -> Tunnel:
    stale = world.now - world.heartbeat > world.stale_after
    return release(tunnel, hold_ns=world.hold, agent_stale=stale, now_ns=world.now)


def looked_at(rows: tuple[int, ...], after: list[Tunnel], now: int) -> list[int]:
    looked = []
    for row in rows:
        if row != NO_ROW:
            looked.append(row)
            if usable(after[row], now):
                break
    return looked


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[int, Tunnel, list[tuple[int, Packet]]]:
    now = draw(EPOCHS)
    tunnel = draw(tunnels(now))
    base = max(tunnel.sequence, 0)
    number = st.integers(-3, 4).map(lambda step: (base + step) % 2**32)
    far = st.integers(0, 2**32 - 1)
    packet = st.builds(Packet, number | far, st.booleans(), st.just(False))
    steps = st.lists(st.tuples(st.integers(0, 6), packet), min_size=1, max_size=8)
    return now, tunnel, draw(steps)


def stamps(site: Kit, life: tuple[int, Tunnel, list[tuple[int, Packet]]]) -> None:
    now, tunnel, steps = life
    endpoint = site.tunnel(1)
    write(site, 1, tunnel)
    for pause, packet in steps:
        now = site.at(now + pause)
        frame = wrapped(endpoint, 1, INNER, sequence=packet.sequence, hears=packet.hears)
        tunnel = arrive(tunnel, packet, now)
        assert site.run("tunnel_ether", frame).outcome is Outcome.DELIVER_STACK
        assert read(site, 1) == tunnel


def test_arrivals_are_stamped_as_the_reference_does(site: Kit) -> None:
    """Stamps, latch and newest number follow ``arrive`` through any run of packets."""

    @settings(max_examples=400)
    @given(arrivals())
    def alike(life: tuple[int, Tunnel, list[tuple[int, Packet]]]) -> None:
        stamps(site, life)

    alike()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("liveness.h", "now_ns - stamp_ns <= detect_ns", "now_ns - stamp_ns < detect_ns"),
        ("liveness.h", "	tunnel->latched = 0;\n", ""),
        ("liveness.h", "tunnel->since_ns < work->settings", "tunnel->since_ns <= work->settings"),
        ("liveness.h", "> work->settings->stale_after_ns", ">= work->settings->stale_after_ns"),
        ("entry.h", "is_candidate(word, last) ? last", "0 ? last"),
        ("entry.h", "if (word >> 48 & ENTRY_DROP)", "if (0)"),
        ("entry.h", "position < CANDIDATES; position++) {", "position < 2; position++) {"),
        ("wrap.h", "hears(work, tunnel) ? OVERLAY_HEARS : 0", "OVERLAY_HEARS"),
    ],
)  # fmt: skip
def test_the_property_catches_broken_steering(
    file: str, old: str, new: str, broken: Callable[[str, str, str, str], Kit]
) -> None:
    """Boundaries, latches, the hold and each step of the choice are noticed when broken."""
    site = ready(broken("steer.bpf.c", file, old, new))
    assert caught(worlds(), partial(steers, site), examples=3000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("liveness.h", "step != 0 && step < 1U << 31", "step != 0"),
        ("liveness.h", "newest = restarted || newer", "newest = newer"),
        ("liveness.h", "now_ns - tunnel->detect_ns - 1;", "now_ns - tunnel->detect_ns;"),
        ("liveness.h", "(newest && hear_us)", "hear_us"),
        ("liveness.h", "	expire(work, tunnel);\n	restarted", "	restarted"),
        ("liveness.h", "tunnel->since_ns > work->now_ns", "1"),
    ],
)  # fmt: skip
def test_the_property_catches_broken_stamping(
    file: str, old: str, new: str, broken: Callable[[str, str, str, str], Kit]
) -> None:
    """Order of numbers, restarts, disproof and unbroken confirmation are noticed when broken."""
    site = ready(broken("tunnel.bpf.c", file, old, new))
    assert caught(arrivals(), partial(stamps, site), examples=3000)


@pytest.mark.parametrize(
    ("numbers", "gap", "late", "twice"),
    [
        ([5, 6, 7], 0, 0, 0),
        ([5, 9], 3, 0, 0),
        ([5, 8, 6, 7], 2, 2, 0),
        ([5, 5, 6, 6], 0, 0, 2),
        ([2**32 - 1, 1], 1, 0, 0),
    ],
)
def test_loss_is_counted_from_numbers(
    site: Kit, numbers: list[int], gap: int, late: int, twice: int
) -> None:
    """Numbers passed over, numbers that came late after all, and numbers that came twice."""
    endpoint = site.tunnel(1, up=False)
    for number in numbers:
        site.run("tunnel_ether", wrapped(endpoint, 1, INNER, sequence=number))
    row: Any = site.tunnels[1]
    assert (row["rx_gap"], row["rx_late"], row["rx_duplicate"]) == (gap, late, twice)
    assert (row["restarts"], row["rx_packets"].sum()) == (1, len(numbers))


def test_pieces_of_one_large_packet_share_a_number(site: Kit) -> None:
    """Three of four pieces came, then the next number: one is missing, and nothing came twice."""
    endpoint = site.tunnel(1, up=False)
    for number, of in ((10, 4), (10, 4), (10, 4), (14, 1), (15, 1)):
        site.run("tunnel_ether", wrapped(endpoint, 1, INNER, sequence=number, segments=of))
    row: Any = site.tunnels[1]
    assert (row["rx_gap"], row["rx_late"], row["rx_duplicate"]) == (1, 0, 0)


def test_the_peer_can_say_that_it_hears_nothing(site: Kit) -> None:
    """A clear H bit ends the proof at once, long before the detect time."""
    endpoint = site.tunnel(1)
    seen = site.run("tunnel_ether", wrapped(endpoint, 1, INNER, sequence=1, hears=False))
    assert seen.notes[Note.DISPROVED] == 1
    site.entry(1, 1)
    assert site.run("steer_lan", FRAME).outcome is Outcome.STEER_ALL_DEAD
