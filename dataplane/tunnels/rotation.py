"""Replacing a WireGuard device's key without a lost packet: make before break.

A device has one private key, and changing it drops every session. So a second device is made,
with a new key, port and tunnel addresses; peers are told; traffic moves once the new device's
sessions are up; the old device goes when nothing uses it any more. The agent drives this with
``control/agent/rotations.py``.

::

    IDLE ─► CREATING ─► ANNOUNCED ─► READY ─► MOVING ─► DRAINING ─► IDLE, new generation
                │           │          │         │          │
                └───────────┴──────────┴─► RETREATING ◄─────┘ ─► IDLE, old generation

READY waits for the caller: the engine decides when to move. Every phase but READY ends by
itself at its deadline, and up to the end of DRAINING everything can be undone, since the old
device still works. Once the old device is gone there is nothing to go back to.

Peers that are unreachable on the old device as well do not hold a rotation up: they learn the
new key from the announcement when they are back. One that is reachable on the old device and
not on the new one does, and at the deadline the rotation is given up.

The state is one frozen value, so an agent that restarts amid a rotation goes on from there.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from patronus.engine.units import MINUTE, NEVER, SECOND


class Phase(StrEnum):
    """How far a rotation is."""

    IDLE = "idle"
    CREATING = "creating"
    """The second device is being made."""
    ANNOUNCED = "announced"
    """Both keys are announced; peers add the new one, tunnels come up."""
    READY = "ready"
    """Every live peer confirmed that it hears us on the new device, and we hear it."""
    MOVING = "moving"
    """The planned move is under way; both devices carry traffic."""
    DRAINING = "draining"
    """Only the new device is used; what is on its way through the old one arrives."""
    RETREATING = "retreating"
    """Given up; traffic moves back to the old device, if it had left it."""


PATIENCE_NS: Final = {
    Phase.CREATING: 10 * SECOND,
    Phase.ANNOUNCED: 5 * MINUTE,
    Phase.MOVING: 5 * MINUTE,
    Phase.DRAINING: 10 * SECOND,
    Phase.RETREATING: 5 * MINUTE,
}
"""How long each phase may take. Announcements take a round; a planned move waits for gapless
flows up to a minute; packets of ours are no longer on their way after ten seconds."""


class Event(StrEnum):
    """What a driver reports."""

    START = "start"
    CREATED = "created"
    """The second device is there."""
    MOVE = "move"
    """The engine wants the move now."""
    MOVED = "moved"
    """The dataplane acknowledged: the device that was asked for carries everything new."""
    DRAINED = "drained"
    """Nobody has sent to the old device, nor we by it, for longer than a path's delay."""
    FAILED = "failed"
    """The second device cannot be made, or is lost."""
    ABORT = "abort"
    """Somebody wants it undone."""


class Action(StrEnum):
    """What a driver is to do. Each may be repeated, so a restarted agent repeats the last one."""

    CREATE_NEW = "create_new"
    """Make a key, and a device with it beside the old one."""
    ANNOUNCE_BOTH = "announce_both"
    """Name both keys, endpoints and tunnel addresses to the peers."""
    MOVE_TO_NEW = "move_to_new"
    """A planned move of everything from the old device's tunnels to the new one's."""
    MOVE_TO_OLD = "move_to_old"
    ANNOUNCE_NEW = "announce_new"
    ANNOUNCE_OLD = "announce_old"
    REMOVE_OLD = "remove_old"
    """Remove the old device, then its key."""
    REMOVE_NEW = "remove_new"


@dataclass(frozen=True, slots=True)
class Rotation:
    """Where a rotation of one device is."""

    generation: int = 0
    """Of the key that is in use when idle."""
    phase: Phase = Phase.IDLE
    since_ns: int = 0
    waiting_for: frozenset[str] = frozenset()
    """Peers that are reachable on the old device and not yet on the new one."""
    moved: bool = False
    """Traffic has begun to leave the old device."""
    reason: str = ""
    """Why the last rotation was given up."""

    def next_deadline(self) -> int:
        """Return when :func:`tick` has something to do."""
        patience = PATIENCE_NS.get(self.phase)
        return NEVER if patience is None else self.since_ns + patience


Step = tuple[Rotation, tuple[Action, ...]]


def step(state: Rotation, event: Event, now_ns: int) -> Step:
    """Return the next state and what to do; an event that means nothing now changes nothing."""
    handler = _TABLE.get((state.phase, event))
    return handler(state, now_ns) if handler else (state, ())


def tick(state: Rotation, now_ns: int) -> Step:
    """Do what is due: each phase is left at its deadline."""
    if now_ns < state.next_deadline():
        return state, ()
    if state.phase is Phase.DRAINING:
        return _finish(state, now_ns)
    if state.phase is Phase.RETREATING:
        # The move back was not acknowledged; the old device is what the entries name again.
        return _clear(state, now_ns)
    if state.phase is Phase.ANNOUNCED:
        missing = ", ".join(sorted(state.waiting_for))
        return _retreat(state, now_ns, f"not up on the new key in time: {missing}")
    return _retreat(state, now_ns, f"{state.phase} took too long")


def peers(state: Rotation, *, old_up: frozenset[str], new_up: frozenset[str], now_ns: int) -> Step:
    """Tell which peers' tunnels are up, on the old device and on the new one.

    Call it whenever either changes; it is a level, not an edge.
    """
    waiting_for = old_up - new_up
    if state.phase is Phase.ANNOUNCED:
        if waiting_for or not new_up:
            return replace(state, waiting_for=waiting_for), ()
        return _enter(state, Phase.READY, now_ns), ()
    if state.phase is Phase.READY and waiting_for:
        return replace(_enter(state, Phase.ANNOUNCED, now_ns), waiting_for=waiting_for), ()
    return state, ()


def resume(state: Rotation) -> tuple[Action, ...]:
    """Return what a restarted agent does again before it goes on."""
    return {
        Phase.IDLE: (),
        Phase.CREATING: (Action.CREATE_NEW,),
        Phase.ANNOUNCED: (Action.ANNOUNCE_BOTH,),
        Phase.READY: (Action.ANNOUNCE_BOTH,),
        Phase.MOVING: (Action.ANNOUNCE_BOTH, Action.MOVE_TO_NEW),
        Phase.DRAINING: (Action.ANNOUNCE_BOTH,),
        Phase.RETREATING: (Action.ANNOUNCE_BOTH, Action.MOVE_TO_OLD),
    }[state.phase]


def _enter(state: Rotation, phase: Phase, now_ns: int) -> Rotation:
    return replace(state, phase=phase, since_ns=now_ns, waiting_for=frozenset())


def _start(state: Rotation, now_ns: int) -> Step:
    fresh = replace(_enter(state, Phase.CREATING, now_ns), moved=False, reason="")
    return fresh, (Action.CREATE_NEW,)


def _created(state: Rotation, now_ns: int) -> Step:
    return _enter(state, Phase.ANNOUNCED, now_ns), (Action.ANNOUNCE_BOTH,)


def _move(state: Rotation, now_ns: int) -> Step:
    return replace(_enter(state, Phase.MOVING, now_ns), moved=True), (Action.MOVE_TO_NEW,)


def _drain(state: Rotation, now_ns: int) -> Step:
    # Both keys stay announced: peers' packets to the old device must still find it.
    return _enter(state, Phase.DRAINING, now_ns), ()


def _finish(state: Rotation, now_ns: int) -> Step:
    done = _enter(Rotation(state.generation + 1), Phase.IDLE, now_ns)
    return done, (Action.ANNOUNCE_NEW, Action.REMOVE_OLD)


def _retreat(state: Rotation, now_ns: int, reason: str) -> Step:
    """Give up: at once if nothing has moved, otherwise after a move back."""
    if not state.moved:
        return _clear(replace(state, reason=reason), now_ns)
    back = replace(_enter(state, Phase.RETREATING, now_ns), reason=reason)
    return back, (Action.MOVE_TO_OLD,)


def _clear(state: Rotation, now_ns: int) -> Step:
    idle = replace(_enter(state, Phase.IDLE, now_ns), moved=False)
    return idle, (Action.ANNOUNCE_OLD, Action.REMOVE_NEW)


def _abort(state: Rotation, now_ns: int) -> Step:
    return _retreat(state, now_ns, "aborted")


def _fail(state: Rotation, now_ns: int) -> Step:
    return _retreat(state, now_ns, f"the new device failed while {state.phase}")


_ACTIVE: Final = (Phase.CREATING, Phase.ANNOUNCED, Phase.READY, Phase.MOVING, Phase.DRAINING)

_TABLE: Final[dict[tuple[Phase, Event], Callable[[Rotation, int], Step]]] = {
    (Phase.IDLE, Event.START): _start,
    (Phase.CREATING, Event.CREATED): _created,
    (Phase.READY, Event.MOVE): _move,
    (Phase.MOVING, Event.MOVED): _drain,
    (Phase.DRAINING, Event.DRAINED): _finish,
    (Phase.RETREATING, Event.MOVED): _clear,
    **{(phase, Event.ABORT): _abort for phase in _ACTIVE},
    **{(phase, Event.FAILED): _fail for phase in _ACTIVE},
}
