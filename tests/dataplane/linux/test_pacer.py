"""Tokens that circle, are lost, and come again."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from patronus.dataplane.linux import probing, syscall
from patronus.dataplane.linux.endpoints import clear_endpoint
from patronus.dataplane.linux.pacer import TOKEN_OCTETS, tick_of, token
from patronus.dataplane.traffic import tbf_rate
from patronus.engine.units import MS, SECOND
from tests.dataplane.linux.ends import End, Pair, pair, wait_for
from tests.rules.tree import ROOT

pytestmark = pytest.mark.root

TOKENS = 4


@pytest.fixture(scope="module")
def cabled(program_cache: Path) -> Iterator[Pair]:
    """Two ends."""
    with pair("st-pace", program_cache) as found:
        yield found


@pytest.fixture
def paced(cabled: Pair) -> Pair:
    """The near end probes."""
    near = cabled.near
    near.pace(10 * MS)
    wait_for(partial(has_tokens, near))
    return cabled


def value(end: End, name: str) -> int:
    return int(end.memory["pacing"][name][0])


def has_tokens(end: End) -> bool:
    # Counted afresh since the last change.
    settled = value(end, "turns") - value(end, "changed") > 4 * TOKENS
    return settled and value(end, "tokens") == TOKENS


def probes_on(end: End) -> None:
    """Wait until every row has probed again."""
    sent = end.probing["sent"].copy()
    wait_for(lambda: bool((end.probing["sent"] > sent).all()))


def inject(frame: bytes) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("st-tick0", 0x0800))
        raw.send(frame)


def test_tokens_keep_their_number(paced: Pair) -> None:
    """One token becomes four; one too many goes; the pace is that of the ticks throughout."""
    near = paced.near
    assert value(near, "cloned") >= TOKENS - 1
    cloned = value(near, "cloned")
    turns = value(near, "turns")
    near.run(partial(inject, token(value(near, "generation"))))
    wait_for(lambda: value(near, "changed") > turns)
    wait_for(partial(has_tokens, near))
    before, start_ns = value(near, "turns"), value(near, "turn_ns")
    wait_for(lambda: value(near, "turns") > before + 200)
    ticks = (value(near, "turn_ns") - start_ns) / MS
    assert value(near, "turns") - before <= 1.05 * ticks + 2
    # A token that is thought lost for being late may be cloned and dropped again.
    assert value(near, "cloned") - cloned <= 4


def test_strangers_do_not_turn(paced: Pair) -> None:
    """Frames that are no token in force are dropped and counted."""
    near, good = paced.near, token(value(paced.near, "generation"))
    for frame in (b"x" * 60, good[:-1], token(value(near, "generation") - 1), bytes(TOKEN_OCTETS)):
        strays = value(near, "strays")
        near.run(partial(inject, frame))
        wait_for(lambda n=strays: value(near, "strays") > n)  # type: ignore[misc]  # bound now
    assert has_tokens(near)


@pytest.mark.parametrize("how", ["down", "generation", "filter", "bucket"])
def test_lost_tokens_are_noticed_and_replaced(paced: Pair, how: str) -> None:
    """When all are gone, the next check builds the pacer anew and probes go on."""
    near = paced.near
    assert near.run(lambda: near.pacer.check(time.monotonic_ns()))
    index = near.netlink.link_lookup(ifname="st-tick1")[0]
    if how == "down":
        near.netlink.link("set", index=index, state="down")
    elif how == "filter":
        near.netlink.tc("del", "clsact", index)
    elif how == "bucket":  # nothing holds them back: they must not fill the processor
        words = ["tc", "-n", near.name, "qdisc", "del", "dev", "st-tick0", "root"]
        subprocess.run(words, check=True)
    else:
        near.memory["pacing"]["generation"] += 1
    wait_for(lambda: not near.pacer.turns(time.monotonic_ns()))
    assert not near.run(lambda: near.pacer.check(time.monotonic_ns()))
    probes_on(near)
    assert near.pacer.rebuilt == 1
    wait_for(partial(has_tokens, near))


def test_a_new_agent_takes_over_what_turns(paced: Pair) -> None:
    """Starting again while tokens turn leaves devices and tokens as they are."""
    near = paced.near
    index, generation = near.netlink.link_lookup(ifname="st-tick1"), value(near, "generation")
    near.run(lambda: near.pacer.start(time.monotonic_ns()))
    assert near.netlink.link_lookup(ifname="st-tick1") == index
    assert value(near, "generation") == generation
    probes_on(near)


def test_stopping_leaves_nothing(paced: Pair) -> None:
    """Without the devices there are no tokens, and stopping twice is no error."""
    near = paced.near
    for _ in range(2):
        near.run(near.pacer.stop)
        assert near.netlink.link_lookup(ifname="st-tick0") == []
    assert not near.run(lambda: near.pacer.check(time.monotonic_ns() + SECOND))


def test_late_probes_are_not_made_up_for(paced: Pair) -> None:
    """A row whose time was missed often probes once, and the misses are counted."""
    near = paced.near
    slots = near.memory["schedule"]
    probing.schedule(slots, np.array([1]), np.array([0]), np.array([0]), time.monotonic_ns())
    sent, skipped = int(near.probing["sent"][1]), int(near.probing["skipped"][1])
    slots["due_ns"][1] = time.monotonic_ns() - 30 * SECOND - 1
    slots["interval_ns"][1] = 60 * SECOND
    wait_for(lambda: int(near.probing["sent"][1]) > sent)
    slots["due_ns"][1] = time.monotonic_ns() - 100 * SECOND - 1
    slots["interval_ns"][1] = 10 * SECOND
    wait_for(lambda: int(near.probing["sent"][1]) > sent + 1)
    others = near.probing["sent"].copy()
    wait_for(lambda: bool((near.probing["sent"][2:] > others[2:] + 3).all()))
    assert int(near.probing["sent"][1]) == sent + 2
    assert int(near.probing["skipped"][1]) - skipped == 10
    assert slots["due_ns"][1] > time.monotonic_ns()


def test_tunnels_without_a_way_are_counted(paced: Pair) -> None:
    """A row that was emptied sends nothing more; the others go on."""
    near = paced.near
    clear_endpoint(near.tunnels, 2)
    no_way = value(near, "no_way")
    wait_for(lambda: value(near, "no_way") > no_way + 2)
    sent = near.probing["sent"].copy()
    wait_for(lambda: bool((near.probing["sent"][:2] > sent[:2] + 2).all()))
    assert int(near.probing["sent"][2]) == int(sent[2])


def test_the_tick_follows_the_interval() -> None:
    """A tenth of it, between one and ten milliseconds."""
    assert [tick_of(ms * MS) // MS for ms in (4, 10, 50, 100, 1000)] == [1, 1, 5, 10, 10]


def test_a_pacer_of_another_tick_is_built_anew(program_cache: Path) -> None:
    """One of the same tick is taken over; with another interval the devices are others."""
    with pair("st-tck", program_cache) as found:
        near = found.near

        def rate() -> tuple[int, int]:
            index = socket.if_nametoindex("st-tick0")
            return index, tbf_rate(index)

        near.pace(10 * MS)
        first = near.run(rate)
        assert first[1] == TOKEN_OCTETS * SECOND // MS
        wait_for(partial(has_tokens, near))
        near.pace(5 * MS)
        assert near.run(rate) == first
        near.pace(40 * MS)
        second = near.run(rate)
        assert second[0] != first[0]
        assert second[1] == TOKEN_OCTETS * SECOND // (4 * MS)
        wait_for(partial(has_tokens, near))


def test_records_of_another_layout_do_not_compile(tmp_path: Path) -> None:
    """A number that differs in C alone is found before any program is built."""
    for header in (ROOT / "bpf").iterdir():
        text = header.read_text().replace("#define SAMPLES 32", "#define SAMPLES 64")
        (tmp_path / header.name).write_text(text)
    command = [sys.executable, "-m", "patronus.dataplane.linux.compiler"]
    paths = [str(tmp_path / "out.json"), str(tmp_path / "pacer.bpf.c")]
    done = subprocess.run([*command, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "SAMPLES == 32" in done.stderr
    assert not (tmp_path / "out.json").exists()


def test_a_deleted_namespace_takes_its_tokens_with_it(program_cache: Path) -> None:
    """Tokens belong to no socket: they do not keep the network that they go round in."""
    with pair("st-gone", program_cache) as found:
        near = found.near
        near.pace(10 * MS)
        wait_for(partial(has_tokens, near))
        memory = os.dup(near.descriptor("pacing"))
    last: list[bytes | None] = []

    def stands_still() -> bool:
        last.append(syscall.lookup(memory, bytes(4), probing.PACING.itemsize))
        # Whole ticks lie between two looks, so one that still turned would have been seen.
        return len(last) > 50 and last[-1] == last[-50]

    try:
        wait_for(stands_still)
    finally:
        os.close(memory)


def test_a_pause_of_this_end_is_excused(paced: Pair) -> None:
    """Stamps move on by what the pacer slept, and the next turns say that this end is awake."""
    near = paced.near
    settings, tunnels = near.memory["settings"], near.tunnels
    wait_for(lambda: int(settings["pause_left_ns"][0]) > 20 * MS)
    pauses, slept = value(near, "pauses"), value(near, "paused_ns")
    silent = near.rows - 1  # no row of the peer: nothing is ever heard there
    clear_endpoint(tunnels, silent)
    now_ns = time.monotonic_ns()
    tunnels["detect_ns"][silent], tunnels["confirmed_ns"][silent] = 30 * SECOND, now_ns - SECOND
    while value(near, "pauses") == pauses:  # a turn may come between the two times
        settings["awake_until_ns"] = time.monotonic_ns() - 15 * MS
    slept = value(near, "paused_ns") - slept
    assert slept >= 15 * MS
    assert tunnels["confirmed_ns"][silent] == now_ns - SECOND + slept
    wait_for(lambda: int(settings["awake_until_ns"][0]) > time.monotonic_ns() - MS)
    assert int(settings["pause_left_ns"][0]) < 100 * MS
