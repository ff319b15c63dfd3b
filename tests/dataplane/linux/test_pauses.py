"""Pauses of this end in the kernel: ``engine/pauses.py`` decides what is right."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.dataplane.linux import syscall
from patronus.dataplane.linux.pacer import token
from patronus.dataplane.linux.records import Outcome
from patronus.engine.fastpath import Packet, Tunnel, arrive, fresh, hears, usable
from patronus.engine.pauses import Awake, earn, excuse, listening_ns, turn
from patronus.engine.units import MS, SECOND
from tests.dataplane.linux.kit import LOOPBACK, Kit, outer, wrapped
from tests.dataplane.linux.test_fastpath import FRAME, INNER, read, ready, tunnels, write
from tests.mutants.harness import caught

pytestmark = pytest.mark.root

NOW = 10**15
PATIENCE = 2 * MS
MARK_EXCUSE = 0xFFFFFFFF
PACER = "pacer.bpf.c"


class Moment(NamedTuple):
    """A tunnel at an end that may have slept."""

    tunnel: Tunnel
    awake: Awake
    packet: Packet


@st.composite
def moments(draw: st.DrawFn) -> Moment:
    tunnel = draw(tunnels(NOW))
    number = st.integers(-3, 4).map(lambda step: (max(tunnel.sequence, 0) + step) % 2**32)
    return Moment(
        tunnel,
        Awake(NOW + draw(st.integers(-14, 2)), draw(st.integers(0, 14))),
        draw(st.builds(Packet, number, st.booleans(), st.just(False))),
    )


@st.composite
def turns(draw: st.DrawFn) -> tuple[list[Tunnel], Awake, int]:
    """Draw tunnels, what the pacer has said, and how long ago it did."""
    gap = draw(st.integers(1, 14) | st.integers(1, 4 * SECOND))
    left = draw(st.integers(0, 14) | st.integers(90 * MS, 100 * MS))
    return draw(st.lists(tunnels(NOW), min_size=4, max_size=4)), Awake(NOW - gap + 2, left), gap


def prepare(site: Kit, awake: Awake) -> None:
    site.at(NOW)
    site.heartbeat()
    site.settings["awake_until_ns"], site.settings["pause_left_ns"] = awake


def asked(site: Kit, moment: Moment) -> None:
    """A packet of ours: does it take the tunnel, and what does its H bit say?"""
    prepare(site, moment.awake)
    write(site, 0, moment.tunnel)
    site.entry(1, 0)
    site.used["row"][1] = 1
    expected = excuse(moment.tunnel, moment.awake, NOW)
    seen = site.run("steer_lan", FRAME)
    wanted = Outcome.STEER_PRIMARY if usable(expected, NOW) else Outcome.STEER_ALL_DEAD
    assert seen.outcome is wanted
    assert outer(seen)[1].hears == hears(expected, NOW)
    # Nobody but the pacer moves stamps.
    assert read(site, 0)[1:3] == moment.tunnel[1:3]


def heard(site: Kit, moment: Moment) -> None:
    """A packet of the peer: what is known after it, seen through the pause?"""
    prepare(site, moment.awake)
    endpoint = site.tunnel(1)
    write(site, 1, moment.tunnel)
    packet = moment.packet
    expected = arrive(excuse(moment.tunnel, moment.awake, NOW), packet, NOW)
    frame = wrapped(endpoint, 1, INNER, sequence=packet.sequence, hears=packet.hears)
    assert site.run("tunnel_ether", frame).outcome is Outcome.DELIVER_STACK
    found = excuse(read(site, 1), moment.awake, NOW)
    until_ns = listening_ns(moment.awake, NOW)
    proven = fresh(read(site, 1).confirmed_ns, found.detect_ns, until_ns)
    assert proven == fresh(expected.confirmed_ns, expected.detect_ns, NOW)
    if not proven:  # older than it can matter: how old is no matter
        found = found._replace(confirmed_ns=expected.confirmed_ns)
    assert found == expected


def turned(site: Kit, life: tuple[list[Tunnel], Awake, int]) -> None:
    """A turn of the pacer: what becomes of stamps and allowance?"""
    before, awake, gap_ns = life
    prepare(site, awake)
    pacing = site.pins.array("pacing")
    pacing.view("u1")[:] = 0
    pacing["generation"], pacing["rows"], pacing["turns"] = 7, len(before), 100
    pacing["turn_ns"], pacing["patience_ns"] = NOW - gap_ns, PATIENCE
    for row, tunnel in enumerate(before):
        write(site, row, tunnel)
    earned = earn(awake, gap_ns)
    pause_ns = NOW - listening_ns(earned, NOW)
    syscall.run_program(site.pins.programs["turn"], token(7), ifindex=LOOPBACK)
    if pause_ns:  # nothing is said before the clone that excuses has come around
        assert said(site) == earned
        syscall.run_program(
            site.pins.programs["launch"], token(7), ifindex=LOOPBACK, mark=MARK_EXCUSE
        )
    assert [read(site, row) for row in range(len(before))] == [
        excuse(tunnel, earned, NOW) for tunnel in before
    ]
    assert said(site) == turn(awake, NOW, gap_ns=gap_ns, patience_ns=PATIENCE)
    assert (pacing["pauses"][0], pacing["paused_ns"][0]) == (pause_ns > 0, pause_ns)


def said(site: Kit) -> Awake:
    return Awake(*(int(site.settings[n][0]) for n in ("awake_until_ns", "pause_left_ns")))


PROPERTIES: dict[str, tuple[st.SearchStrategy[Any], Callable[[Kit, Any], None]]] = {
    "asked": (moments(), asked),
    "heard": (moments(), heard),
    "turned": (turns(), turned),
}


@pytest.mark.parametrize("name", PROPERTIES)
def test_the_kernel_excuses_pauses_as_the_reference_does(kit: Kit, name: str) -> None:
    """Packets out, packets in and turns of the pacer, for any stamps, pauses and allowances."""
    site, (strategy, check) = ready(kit), PROPERTIES[name]

    @settings(max_examples=200)
    @given(strategy)
    def alike(drawn: object) -> None:
        check(site, drawn)

    alike()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "source", "file", "old", "new"),
    [
        ("heard", "tunnel.bpf.c", "liveness.h", "pause_ns > 0 && pause_ns <=", "pause_ns <="),
        ("asked", "steer.bpf.c", "liveness.h", "&& pause_ns <= work", "&& pause_ns < work"),
        ("asked", "steer.bpf.c", "liveness.h", "stamp_ns, detect_ns, listening_ns(work)",
         "stamp_ns, detect_ns, work->now_ns"),
        ("heard", "tunnel.bpf.c", "liveness.h", "listening_ns(work) - tunnel->detect_ns - 1",
         "work->now_ns - tunnel->detect_ns - 1"),
        ("turned", PACER, PACER, "	new_ns -= over_ns & unless_negative(over_ns);\n", ""),
        ("turned", PACER, PACER, "~(number >> 63)", "-1"),
        ("turned", PACER, PACER, "unless_negative(detect_ns -", "unless_negative(detect_ns - 1 -"),
        ("turned", PACER, PACER, "settings->pause_left_ns + gap_ns", "gap_ns"),
        ("turned", PACER, PACER, "left_ns < PAUSE_MOST_NS ? left_ns : PAUSE_MOST_NS", "left_ns"),
        ("turned", PACER, PACER, "	settings->pause_left_ns -= pause_ns;\n", ""),
    ],
)  # fmt: skip
def test_the_properties_catch_broken_pauses(
    name: str, source: str, file: str, old: str, new: str,
    broken: Callable[[str, str, str, str], Kit],
) -> None:  # fmt: skip
    """Bounds, what is moved, what is paid and what is earned are noticed when broken."""
    strategy, check = PROPERTIES[name]
    site = ready(broken(source, file, old, new))
    assert caught(strategy, partial(check, site), examples=3000)
