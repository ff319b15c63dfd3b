"""A key's rotation never leaves a site without a device, and ends in bounded time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.tunnels.rotation import (
    PATIENCE_NS,
    Action,
    Event,
    Phase,
    Rotation,
    Step,
    peers,
    resume,
    step,
    tick,
)
from patronus.engine.units import MINUTE, NEVER, SECOND

AB, NOBODY = frozenset({"a", "b"}), frozenset[str]()


def at(phase: Phase) -> Rotation:
    """Return a rotation that came to a phase on its proper way."""
    state = Rotation(generation=4)
    walk: list[Callable[[Rotation], Step]] = [
        lambda s: step(s, Event.START, 0),
        lambda s: step(s, Event.CREATED, 0),
        lambda s: peers(s, old_up=AB, new_up=AB, now_ns=0),
        lambda s: step(s, Event.MOVE, 0),
        lambda s: step(s, Event.MOVED, 0),
    ]
    if phase is Phase.RETREATING:
        return step(at(Phase.MOVING), Event.ABORT, 0)[0]
    for go in walk:
        if state.phase is not phase:
            state = go(state)[0]
    assert state.phase is phase
    return state


def test_a_rotation_goes_its_way() -> None:
    """The actions of an undisturbed rotation, in order."""
    done: list[Action] = []

    def take(result: Step) -> Rotation:
        done.extend(result[1])
        return result[0]

    state = take(step(Rotation(), Event.START, 0))
    state = take(step(state, Event.CREATED, 1))
    state = take(peers(state, old_up=AB, new_up=frozenset({"a"}), now_ns=2))
    assert state.waiting_for == {"b"}
    state = take(peers(state, old_up=AB, new_up=AB, now_ns=3))
    assert state.next_deadline() == NEVER
    state = take(step(state, Event.MOVE, 4))
    state = take(step(state, Event.MOVED, 5))
    state = take(step(state, Event.DRAINED, 6))
    assert state == Rotation(generation=1, since_ns=6)
    assert done == [
        Action.CREATE_NEW,
        Action.ANNOUNCE_BOTH,
        Action.MOVE_TO_NEW,
        Action.ANNOUNCE_NEW,
        Action.REMOVE_OLD,
    ]


def test_a_peer_that_is_down_anyway_holds_nothing_up() -> None:
    """Only peers that live on the old device have to be up on the new one."""
    state, _ = peers(at(Phase.ANNOUNCED), old_up=frozenset({"a"}), new_up=AB, now_ns=9)
    assert state.phase is Phase.READY


def test_nothing_moves_to_a_device_that_nobody_reaches() -> None:
    """With no peer up on either device there is no proof that the new one works."""
    state, actions = peers(at(Phase.ANNOUNCED), old_up=NOBODY, new_up=NOBODY, now_ns=9)
    assert (state.phase, actions) == (Phase.ANNOUNCED, ())


def test_a_peer_lost_before_the_move_calls_it_off() -> None:
    """READY is left when a peer that lives on the old device is lost on the new one."""
    state, _ = peers(at(Phase.READY), old_up=AB, new_up=frozenset({"a"}), now_ns=9)
    assert (state.phase, state.waiting_for) == (Phase.ANNOUNCED, frozenset({"b"}))
    assert step(state, Event.MOVE, 9) == (state, ())


def test_a_missing_peer_is_named() -> None:
    """A rotation that is given up at its deadline says for whom it waited."""
    state, _ = peers(at(Phase.ANNOUNCED), old_up=AB, new_up=frozenset({"a"}), now_ns=1)
    state, actions = tick(state, state.next_deadline())
    assert state.phase is Phase.IDLE
    assert state.generation == 4
    assert state.reason == "not up on the new key in time: b"
    assert actions == (Action.ANNOUNCE_OLD, Action.REMOVE_NEW)


@pytest.mark.parametrize("event", [Event.ABORT, Event.FAILED])
@pytest.mark.parametrize("phase", [Phase.CREATING, Phase.ANNOUNCED, Phase.READY])
def test_before_the_move_it_is_undone_at_once(phase: Phase, event: Event) -> None:
    """Nothing has left the old device, so the new one is simply removed."""
    state, actions = step(at(phase), event, 5)
    assert (state.phase, state.generation) == (Phase.IDLE, 4)
    assert actions == (Action.ANNOUNCE_OLD, Action.REMOVE_NEW)


@pytest.mark.parametrize("event", [Event.ABORT, Event.FAILED])
@pytest.mark.parametrize("phase", [Phase.MOVING, Phase.DRAINING])
def test_after_the_move_it_moves_back_first(phase: Phase, event: Event) -> None:
    """The new device stays until traffic is back on the old one."""
    state, actions = step(at(phase), event, 5)
    assert (state.phase, actions) == (Phase.RETREATING, (Action.MOVE_TO_OLD,))
    state, actions = step(state, Event.MOVED, 6)
    assert (state.phase, state.generation) == (Phase.IDLE, 4)
    assert actions == (Action.ANNOUNCE_OLD, Action.REMOVE_NEW)


def test_once_the_old_device_is_gone_there_is_no_way_back() -> None:
    """An abort after the end changes nothing."""
    state, _ = step(at(Phase.DRAINING), Event.DRAINED, 5)
    assert step(state, Event.ABORT, 6) == (state, ())
    assert step(state, Event.FAILED, 6) == (state, ())


@pytest.mark.parametrize("phase", Phase)
def test_a_restarted_agent_repeats_what_its_phase_needs(phase: Phase) -> None:
    """No resumed phase removes anything or loses an announcement."""
    actions = resume(at(phase))
    assert not {Action.REMOVE_OLD, Action.REMOVE_NEW} & set(actions)
    if phase not in {Phase.IDLE, Phase.CREATING}:
        assert Action.ANNOUNCE_BOTH in actions


@pytest.mark.parametrize(("phase", "event"), list(product(Phase, Event)))
def test_every_event_in_every_phase_is_safe(phase: Phase, event: Event) -> None:
    """The device that carries traffic is never removed, whatever happens when."""
    before = at(phase)
    after, actions = step(before, event, 7)
    if Action.REMOVE_OLD in actions:
        assert (before.phase, after.generation) == (Phase.DRAINING, before.generation + 1)
    if Action.REMOVE_NEW in actions:
        assert not before.moved or before.phase is Phase.RETREATING
    assert actions or after == before or after.phase is Phase.DRAINING


@dataclass
class Driver:
    """Holds devices as the actions say, and objects where one would cut the traffic."""

    state: Rotation = field(default_factory=Rotation)
    now_ns: int = 0
    new: bool = False
    on_new: bool = False

    def take(self, result: Step) -> None:
        self.state = result[0]
        for action in result[1]:
            handler = getattr(self, action.value, None)
            if handler is not None:
                handler()
        assert self.new == (self.state.phase is not Phase.IDLE)

    def create_new(self) -> None:
        self.new = True

    def move_to_new(self) -> None:
        assert self.new, "moved to a device that is not there"
        self.on_new = True

    def move_to_old(self) -> None:
        self.on_new = False

    def remove_old(self) -> None:
        assert self.on_new, "removed the device in use"
        self.new = self.on_new = False  # the new one is the old one from now on

    def remove_new(self) -> None:
        assert not self.on_new, "removed the device in use"
        self.new = False

    def event(self, event: Event | tuple[frozenset[str], frozenset[str]] | int) -> None:
        if isinstance(event, Event):
            self.take(step(self.state, event, self.now_ns))
        elif isinstance(event, tuple):
            old_up, new_up = event
            self.take(peers(self.state, old_up=old_up, new_up=new_up, now_ns=self.now_ns))
        else:
            self.now_ns += event
            self.take(tick(self.state, self.now_ns))


names = st.frozensets(st.sampled_from("ab"))
histories = st.lists(
    st.sampled_from(Event) | st.tuples(names, names) | st.integers(0, 6 * MINUTE), max_size=40
)


@given(histories)
def test_any_history_keeps_a_working_device_and_ends(
    history: list[Event | tuple[frozenset[str], frozenset[str]] | int],
) -> None:
    """What a driver holds is right after every event, and silence ends every rotation."""
    driver = Driver()
    for event in history:
        driver.event(event)
    if driver.state.phase is Phase.READY:
        driver.event(Event.ABORT)
    for _ in PATIENCE_NS:
        if driver.state.phase is not Phase.IDLE:
            driver.event(driver.state.next_deadline() - driver.now_ns)
    assert driver.state.phase is Phase.IDLE


def test_nothing_is_due_before_its_deadline() -> None:
    """A tick before the deadline changes nothing, and idle has none."""
    for phase, patience_ns in PATIENCE_NS.items():
        state = at(phase)
        assert state.next_deadline() == patience_ns
        assert tick(state, patience_ns - 1) == (state, ())
    assert tick(Rotation(), 10**18) == (Rotation(), ())
    assert at(Phase.READY).next_deadline() == NEVER
    assert min(PATIENCE_NS.values()) >= 10 * SECOND
