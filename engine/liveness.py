"""The liveness state machine of a tunnel, as a table and nothing else.

    AdminDown   switched off by the operator; nothing else matters
    Down        no proof that the peer hears us
    Init        proof again, but it must last for the hold of :mod:`damping`
    Up          fit for traffic

The names follow RFC 5880 section 6.2. Inputs are edges, not levels: ``CONFIRM`` is
the first proof after silence and ``EXPIRE`` the instant it went stale, both from
:mod:`patronus.engine.silence`. Because edges do not repeat, whoever gives
``ADMIN_UP`` follows it with ``CONFIRM`` when the row is not silent at that time.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

I8 = npt.NDArray[np.int8]


class State(IntEnum):
    """Where a tunnel stands."""

    ADMIN_DOWN = 0
    DOWN = 1
    INIT = 2
    UP = 3


INIT: Final = np.int8(State.INIT)
UP: Final = np.int8(State.UP)
"""To compare arrays with: of a member of an enum NumPy asks half a dozen things first, which for
few rows takes five times as long as comparing."""


class Input(IntEnum):
    """What can happen to it."""

    CONFIRM = 0
    EXPIRE = 1
    HOLD_ELAPSED = 2
    ADMIN_DOWN = 3
    ADMIN_UP = 4
    CARRIER_LOST = 5


class Action(IntEnum):
    """What its owner does about it."""

    NONE = 0
    START_HOLD = 1
    """Ask damping for how long, and give ``HOLD_ELAPSED`` then."""
    CANCEL_HOLD = 2
    GO_UP = 3
    """Clear the latch in the dataplane; the tunnel is a candidate again."""
    GO_DOWN = 4
    """Move traffic away now."""


class Step(NamedTuple):
    """The outcome of one input."""

    state: State
    action: Action


TABLE: Final[Mapping[tuple[State, Input], Step]] = {
    (State.ADMIN_DOWN, Input.CONFIRM): Step(State.ADMIN_DOWN, Action.NONE),
    (State.ADMIN_DOWN, Input.EXPIRE): Step(State.ADMIN_DOWN, Action.NONE),
    (State.ADMIN_DOWN, Input.HOLD_ELAPSED): Step(State.ADMIN_DOWN, Action.NONE),
    (State.ADMIN_DOWN, Input.ADMIN_DOWN): Step(State.ADMIN_DOWN, Action.NONE),
    (State.ADMIN_DOWN, Input.ADMIN_UP): Step(State.DOWN, Action.NONE),
    (State.ADMIN_DOWN, Input.CARRIER_LOST): Step(State.ADMIN_DOWN, Action.NONE),
    (State.DOWN, Input.CONFIRM): Step(State.INIT, Action.START_HOLD),
    (State.DOWN, Input.EXPIRE): Step(State.DOWN, Action.NONE),
    (State.DOWN, Input.HOLD_ELAPSED): Step(State.DOWN, Action.NONE),
    (State.DOWN, Input.ADMIN_DOWN): Step(State.ADMIN_DOWN, Action.NONE),
    (State.DOWN, Input.ADMIN_UP): Step(State.DOWN, Action.NONE),
    (State.DOWN, Input.CARRIER_LOST): Step(State.DOWN, Action.NONE),
    (State.INIT, Input.CONFIRM): Step(State.INIT, Action.NONE),
    (State.INIT, Input.EXPIRE): Step(State.DOWN, Action.CANCEL_HOLD),
    (State.INIT, Input.HOLD_ELAPSED): Step(State.UP, Action.GO_UP),
    (State.INIT, Input.ADMIN_DOWN): Step(State.ADMIN_DOWN, Action.CANCEL_HOLD),
    (State.INIT, Input.ADMIN_UP): Step(State.INIT, Action.NONE),
    (State.INIT, Input.CARRIER_LOST): Step(State.DOWN, Action.CANCEL_HOLD),
    (State.UP, Input.CONFIRM): Step(State.UP, Action.NONE),
    (State.UP, Input.EXPIRE): Step(State.DOWN, Action.GO_DOWN),
    (State.UP, Input.HOLD_ELAPSED): Step(State.UP, Action.NONE),
    (State.UP, Input.ADMIN_DOWN): Step(State.ADMIN_DOWN, Action.GO_DOWN),
    (State.UP, Input.ADMIN_UP): Step(State.UP, Action.NONE),
    (State.UP, Input.CARRIER_LOST): Step(State.DOWN, Action.GO_DOWN),
}
"""Every state meets every input; ``HOLD_ELAPSED`` outside Init is a cancelled timer."""

_NEXT: Final = np.array([[TABLE[s, i].state for i in Input] for s in State], dtype=np.int8)
_ACTION: Final = np.array([[TABLE[s, i].action for i in Input] for s in State], dtype=np.int8)


def step(state: State, given: Input) -> Step:
    """Return the next state of one tunnel and what to do."""
    return TABLE[state, given]


def step_many(states: I8, given: Input | I8) -> tuple[I8, I8]:
    """Return next states and actions of many tunnels, for one input or one each."""
    return _NEXT[states, given], _ACTION[states, given]
