"""The packet-time rule: proofs, latch and choice, against a watcher of every instant."""

from itertools import pairwise
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import fastpath
from patronus.engine.fastpath import Counter, Entry, Packet, Tunnel, Verdict, steer
from patronus.engine.forwarding import NO_ROW
from patronus.engine.units import LONG_AGO, MS, NEVER, SECOND
from tests.mutants.harness import caught, mutant
from tests.oracles import fastpath as oracle

BASE = -3
"""Times begin before zero, as the warm-up's do."""

WRAP = 2**32
SEQUENCES = st.builds(
    lambda base, offset: (base + offset) % WRAP,
    st.sampled_from([0, 2**31 - 2, 2**31]),
    st.integers(-3, 3),
)
PACKETS = st.builds(Packet, SEQUENCES, st.booleans(), st.booleans())
WORDS = st.sampled_from(["look", "clear", "clear", "agent away", "agent back"])
STEPS = st.one_of(PACKETS, PACKETS, WORDS, st.integers(0, 6))
"""A packet, a word, or a new detect time."""
LIVES = st.tuples(
    st.integers(0, 5),
    st.integers(0, 9),
    st.lists(st.tuples(st.integers(0, 5), STEPS), max_size=25),
)
"""Detect time, hold, and (time since the last step, step)."""


def live(kernel: ModuleType, life: tuple[int, int, list[tuple[int, Packet | str | int]]]) -> None:
    detect, hold, steps = life
    watcher, tunnel = oracle.Watcher(detect, hold), kernel.Tunnel(detect)
    now, stale = BASE, False
    for wait, step in steps:
        now += wait
        watcher.pass_to(now)
        tunnel = kernel.release(tunnel, hold_ns=hold, agent_stale=stale, now_ns=now)
        if isinstance(step, Packet):
            watcher.packet(step.sequence, hears=step.hears, reflection=step.reflection)
            tunnel = kernel.arrive(tunnel, step, now)
        elif isinstance(step, int):
            watcher.change_detect(step)
            tunnel = tunnel._replace(detect_ns=step)
        elif step == "clear":
            watcher.clear()
            tunnel = kernel.clear(tunnel, now)
        elif step != "look":
            stale = step == "agent away"
            watcher.agent(stale=stale)
        tunnel = kernel.release(tunnel, hold_ns=hold, agent_stale=stale, now_ns=now)
        assert watcher.usable == kernel.usable(tunnel, now)
        assert watcher.says_hears == kernel.hears(tunnel, now)
        assert watcher.latched == tunnel.latched
        assert watcher.unbroken_since == (None if tunnel.since_ns == NEVER else tunnel.since_ns)


@given(LIVES)
def test_a_tunnel_is_what_watching_every_instant_says(
    life: tuple[int, int, list[tuple[int, Packet | str | int]]],
) -> None:
    """Touched only when something happens, a tunnel is as usable as if watched all the time."""
    live(fastpath, life)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return now_ns - stamp_ns <= detect_ns", "return now_ns - stamp_ns < detect_ns"),
        ("latched=True, since_ns=NEVER)", "since_ns=NEVER)"),
        ("if packet.reflection or (newest and packet.hears)", "if packet.reflection"),
        ("(newest and packet.hears)", "packet.hears"),
        ("return _disprove(tunnel, now_ns)", "return tunnel"),
        ("restarted = not fresh(tunnel.heard_ns", "restarted = not fresh(tunnel.confirmed_ns"),
        ("since_ns=min(tunnel.since_ns, now_ns)", "since_ns=now_ns"),
        ("now_ns - tunnel.since_ns >= hold_ns", "now_ns - tunnel.since_ns > hold_ns"),
        ("(due and agent_stale)", "due"),
        ("latched=tunnel.since_ns == NEVER", "latched=False"),
        ("_SEQUENCE_HALF: Final = 2**31", "_SEQUENCE_HALF: Final = 2**31 + 1"),
    ],
)
def test_the_property_catches_mutants_of_a_tunnel(old: str, new: str) -> None:
    """Each rule of stamps and latch is needed."""
    broken = mutant(fastpath, old, new)
    assert caught(LIVES, lambda life: live(broken, life), examples=3000)


ROWS = st.sampled_from([NO_ROW, 0, 1, 2, 3])
ENTRIES = st.lists(
    st.builds(Entry, st.tuples(ROWS, ROWS, ROWS), st.booleans(), ROWS), min_size=1, max_size=8
)
CHOICES = st.tuples(ENTRIES, st.lists(st.booleans(), min_size=4, max_size=4))
"""Entries, and which of the four rows are usable."""


def choose(kernel: ModuleType, choice: tuple[list[Entry], list[bool]]) -> None:
    entries, up = choice
    tunnels = {r: kernel.Tunnel(5, confirmed_ns=0, latched=not u) for r, u in enumerate(up)}
    rows = np.array([e.rows for e in entries], dtype=np.int32)
    drop = np.array([e.drop for e in entries], dtype=np.bool_)
    last = np.array([e.last for e in entries], dtype=np.int32)
    # What stands in place of a missing row is garbage, and must not matter.
    alive = np.array([*up, True], dtype=np.bool_)[rows]
    out, counters = kernel.steer_many(rows, drop, last, alive)
    assert out.dtype == np.dtype(np.int32)
    for i, entry in enumerate(entries):
        expected = oracle.destination(
            entry.rows, drop=entry.drop, last=entry.last, usable=up.__getitem__
        )
        row, counter = kernel.steer(entry, tunnels, 5)
        assert expected == (row, counter.name)
        assert expected == (out[i], kernel.Counter(int(counters[i])).name)


@given(CHOICES)
def test_one_packet_and_many_go_where_the_cases_say(
    choice: tuple[list[Entry], list[bool]],
) -> None:
    """Scalar and vector form agree with a choice written case by case."""
    choose(fastpath, choice)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("if entry.drop:", "if entry.drop and not entry.rows:"),
        ("entry.last if entry.last in known else", "entry.last if entry.last >= 0 else"),
        ("takes = dead & alive[:, place]", "takes = dead.copy()"),
        ("counters[drop & dead]", "counters[drop & ~dead]"),
        ("dead & (static != NO_ROW)", "dead"),
        ("known & (row == last)", "(row == row)"),
        ("for row in rows.T[::-1]:", "for row in rows.T:"),
        ("takes &= row != NO_ROW", "pass"),
        ("dead ^= takes", "dead = dead ^ takes if place else takes"),
    ],
)
def test_the_property_catches_mutants_of_the_choice(old: str, new: str) -> None:
    """Order, fail-static, drop and missing rows are each noticed when broken."""
    broken = mutant(fastpath, old, new)
    assert caught(CHOICES, lambda choice: choose(broken, choice))


@given(
    st.lists(
        st.tuples(st.integers(-9, 9), st.integers(0, 5), st.booleans(), st.integers(-9, 9)),
        min_size=1,
    )
)
def test_usable_rows_are_usable_tunnels(rows: list[tuple[int, int, bool, int]]) -> None:
    """The vector form of usability is the scalar one."""
    confirmed, detect, latched, now = (np.array(column) for column in zip(*rows, strict=True))
    expected = [fastpath.usable(Tunnel(d, confirmed_ns=c, latched=b), t) for c, d, b, t in rows]
    assert fastpath.usable_rows(confirmed, detect, latched, now).tolist() == expected


def test_stamps_that_were_never_set_are_stale_at_any_time() -> None:
    """Ages are counted without wrapping, from the warm-up to the end of time."""
    for now in (-(2**61), 0, 2**62 - 1):
        assert not fastpath.fresh(LONG_AGO, 300 * MS, now)
        stamps = np.array([LONG_AGO], dtype=np.int64)
        detect, latched = np.array([300 * MS]), np.array([False])
        assert fastpath.usable_rows(stamps, detect, latched, now).tolist() == [False]


def test_expiry_is_the_first_instant_that_is_not_fresh() -> None:
    """The boundary is one function's, and the others agree with it."""
    at = fastpath.expiry_ns(7, 30 * MS)
    assert fastpath.fresh(7, 30 * MS, at - 1)
    assert not fastpath.fresh(7, 30 * MS, at)


def test_data_from_the_far_end_does_not_keep_a_one_way_cut_alive() -> None:
    """The peer hears nothing, its agent sleeps, but its data still comes: we stop sending."""
    tunnel = fastpath.arrive(Tunnel(30 * MS), Packet(1, hears=True), 0)
    tunnel = fastpath.clear(tunnel, 0)
    assert fastpath.usable(tunnel, 0)
    for i in range(1, 10):
        tunnel = fastpath.arrive(tunnel, Packet(1 + i, hears=i < 4), i * 10 * MS)
    assert fastpath.hears(tunnel, 90 * MS)
    assert not fastpath.usable(tunnel, 40 * MS)


def test_flapping_does_not_move_packets_while_the_agent_is_stopped() -> None:
    """At 5 Hz the latch stays: packets go to the backup once and remain there."""
    hold, entry = 10 * SECOND, Entry((0, 1, NO_ROW), last=0)
    good = Tunnel(30 * MS, confirmed_ns=60 * SECOND, latched=False, since_ns=0)
    flapping = Tunnel(30 * MS, confirmed_ns=0, latched=False, since_ns=0)
    seen = []
    for i in range(1, 2000):
        now = i * 10 * MS
        flapping = fastpath.release(flapping, hold_ns=hold, agent_stale=True, now_ns=now)
        if now % (200 * MS) < 100 * MS:
            flapping = fastpath.arrive(flapping, Packet(i, hears=True), now)
        seen.append(steer(entry, {0: flapping, 1: good}, now).row)
    moves = [b for a, b in pairwise(seen) if a != b]
    assert moves == [1]


def test_all_dead_is_counted_and_carried_by_the_last_used() -> None:
    """With nothing usable the packet stays where the one before it went."""
    dead = {row: Tunnel(30 * MS) for row in range(3)}
    assert steer(Entry((0, 1, 2), last=1), dead, 0) == Verdict(1, Counter.ALL_DEAD)
