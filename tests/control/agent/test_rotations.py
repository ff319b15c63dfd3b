"""Keys are replaced without a lost packet, and whatever is killed, one key is left in the end."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.control.agent.keyring import slot
from patronus.control.agent.rotations import RETRY_NS, NotNow
from patronus.dataplane.linux.records import Twin
from patronus.dataplane.tunnels.rotation import PATIENCE_NS, Phase
from patronus.engine.units import MINUTE, SECOND
from tests.control.agent.keyworld import TICK_NS, TRANSPORT, Killed, Site, World

STEPS = 40
"""More than a rotation of two sites takes."""


def two() -> World:
    return World(a=("b",), b=("a",))


def rotate(world: World, *names: str) -> None:
    """Give the order; an agent may be killed by what it does at once."""
    for name in names:
        site = world[name]
        assert site.rotations is not None
        try:
            site.rotations.start([], world.now_ns)
        except Killed:
            site.rotations = None


def answer(site: Site) -> dict[str, Any]:
    assert site.rotations is not None
    (found,) = site.rotations.answer(site.world.now_ns)
    return found


def settled(world: World, **generations: int | set[int]) -> None:
    """Everybody has one key, one device and one pair, and knows one key of each peer."""
    assert world.phases() == {"idle"}
    for name, wanted in generations.items():
        site = world[name]
        ((generation, device),) = site.kernel.devices.items()
        assert generation in ({wanted} if isinstance(wanted, int) else wanted)
        assert set(site.disk.keys) == {generation}
        for row, peer in enumerate(site.peers):
            (theirs,) = world[peer].disk.keys
            assert device[peer] == {theirs}
            assert site.kernel.twins[row] == Twin(slot(generation) | slot(theirs) << 1)
    world.check()


def test_one_end_replaces_its_key() -> None:
    """The key is another one, both ends use it, and no packet was lost on the way."""
    world = two()
    for generation in (1, 2, 3):
        rotate(world, "a")
        world.run(10 * SECOND)
        settled(world, a=generation, b=0)
    assert answer(world["a"])["done"] == 3


def test_both_ends_replace_their_keys_at_once() -> None:
    """Up to four pairs of devices, and every step of either leaves one that works."""
    world = two()
    rotate(world, "a", "b")
    world.run(10 * SECOND)
    settled(world, a=1, b=1)


@pytest.mark.parametrize("orders", ["a", "ab"])
@pytest.mark.parametrize("killed", ["a", "b"])
def test_a_kill_at_any_step_leaves_one_key(orders: str, killed: str) -> None:
    """Whichever step is the last of an agent, the next one brings the rotation to its end."""
    for number in range(1, STEPS):
        world = two()
        before = world.counts[killed]
        world.kills = {killed: {before + number}}
        rotate(world, *orders)
        world.run(30 * SECOND)
        settled(world, a={0, 1}, b={0, 1} if "b" in orders else 0)
    assert world.counts[killed] < before + STEPS, "not every step has been the last one"


@pytest.mark.parametrize("slow", ["a", "b", "ab"])
def test_words_that_take_long_are_waited_for(slow: str) -> None:
    """However late an end hears of the other's keys, nothing is sent by one that it cannot read."""
    world = two()
    world.hears_ns = dict.fromkeys(slow, 7 * SECOND)
    rotate(world, "a", "b")
    world.run(MINUTE)
    settled(world, a=1, b=1)


@given(
    kills=st.fixed_dictionaries({n: st.sets(st.integers(1, 60), max_size=6) for n in "ab"}),
    hears=st.fixed_dictionaries({n: st.integers(1, 80) for n in "ab"}),
)
@settings(max_examples=30, deadline=None)
def test_many_kills_leave_one_key(kills: dict[str, set[int]], hears: dict[str, int]) -> None:
    """Agents that are killed again and again, at both ends, lose no packet and end with one key."""
    world = two()
    world.hears_ns = {name: ticks * TICK_NS for name, ticks in hears.items()}
    world.kills = {n: {world.counts[n] + k for k in steps} for n, steps in kills.items()}
    rotate(world, "a", "b")
    world.run(3 * MINUTE)
    settled(world, a={0, 1}, b={0, 1})


def test_nothing_happens_while_nobody_is_reached() -> None:
    """The rotation is pending for as long as it takes, and goes on when the peer is back."""
    world = two()
    world.cut.add(frozenset("ab"))
    rotate(world, "a")
    world.run(20 * MINUTE)
    told = answer(world["a"])
    assert (told["phase"], told["pending"], told["generation"]) == ("announced", ["b"], 0)
    assert world["a"].kernel.twins == {0: Twin(0)}
    world.cut.clear()
    world.check()
    world.run(10 * SECOND)
    settled(world, a=1, b=0)


def test_a_peer_that_is_away_holds_up_no_other() -> None:
    """It hears of the new key when it is back, though the old one is gone."""
    world = World(a=("b", "c"), b=("a",), c=("a",))
    world.cut.add(frozenset("ac"))
    rotate(world, "a")
    world.run(20 * SECOND)
    assert world.phases() == {"idle"}
    assert set(world["a"].kernel.devices) == {1}
    world.watching = False
    world.cut.clear()
    world.run(2 * SECOND)
    settled(world, a=1, b=0, c=0)


def test_a_peer_whose_agent_is_stopped_is_not_cut() -> None:
    """Its kernel goes on with the old key: the rotation is given up, and the reason names it."""
    world = World(a=("b", "c"), b=("a",), c=("a",))
    world.stopped.add("c")
    rotate(world, "a")
    world.run(PATIENCE_NS[Phase.ANNOUNCED] + 5 * SECOND)
    told = answer(world["a"])
    assert (told["generation"], told["given_up"]) == (0, 1)
    assert told["reason"] == "not up on the new key in time: c"
    world.stopped.clear()
    world.run(2 * SECOND)
    settled(world, a=0, b=0, c=0)


def test_a_peer_that_is_stopped_amid_the_move_is_not_cut() -> None:
    """Both devices stay for as long as it takes: it may use either of them."""
    for wait_ns in range(0, 3 * SECOND, SECOND // 2):
        world = World(a=("b", "c"), b=("a",), c=("a",))
        rotate(world, "a")
        world.run(wait_ns)
        world.stopped.add("c")
        world.run(15 * MINUTE)
        world.stopped.clear()
        world.run(30 * SECOND)
        settled(world, a={0, 1}, b=0, c=0)


def test_a_device_that_cannot_be_made_ends_the_rotation() -> None:
    """Nobody has heard of its key, and the key is removed."""
    world = two()
    world.failing.add("a")
    rotate(world, "a")
    world.run(PATIENCE_NS[Phase.CREATING] + SECOND)
    settled(world, a=0, b=0)
    assert answer(world["a"])["reason"] == "creating took too long"


def test_a_second_order_is_refused() -> None:
    """As are names that mean nothing; then nothing is begun."""
    world = two()
    rotate(world, "a")
    rotations = world["a"].rotations
    assert rotations is not None
    with pytest.raises(NotNow, match="the key of lte is being replaced already"):
        rotations.start([TRANSPORT], world.now_ns)
    with pytest.raises(NotNow, match="no transport mpls with WireGuard tunnels; there is lte"):
        rotations.start(["mpls"], world.now_ns)


def test_keys_are_replaced_by_their_age() -> None:
    """As often as the schedule says; after one that was given up, not at once again."""
    world = two()
    site = world["a"]
    site.every_ns = 2 * MINUTE
    site.begin()
    world.run(2 * MINUTE)
    world.run(10 * SECOND)
    settled(world, a=1, b=0)
    world.failing.add("a")
    world.run(2 * MINUTE + PATIENCE_NS[Phase.CREATING])
    assert answer(site)["given_up"] == 1
    world.run(RETRY_NS - MINUTE)
    assert answer(site)["given_up"] == 1
    assert answer(site)["due_ns"] > 0
    world.run(2 * MINUTE)
    assert answer(site)["given_up"] == 2
