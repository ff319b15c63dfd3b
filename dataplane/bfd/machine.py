"""The BFD state machine (RFC 5880, 6.2 and 6.8.6) as a table, and its diagram.

One table says where a session goes when it hears the state of its peer, the other
where it goes when it has heard nothing for a Detection Time. An administrator moves it to and
from AdminDown. Whoever keeps a session looks everything up here; no other place knows a
transition.
"""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final


class State(IntEnum):
    """State of a session, as the Sta field has it (RFC 5880, 4.1)."""

    ADMIN_DOWN = 0
    DOWN = 1
    INIT = 2
    UP = 3


class Diagnostic(IntEnum):
    """Why a session changed its state last, as the Diag field has it (RFC 5880, 4.1)."""

    NO_DIAGNOSTIC = 0
    CONTROL_DETECTION_TIME_EXPIRED = 1
    ECHO_FUNCTION_FAILED = 2
    NEIGHBOR_SIGNALED_SESSION_DOWN = 3
    FORWARDING_PLANE_RESET = 4
    PATH_DOWN = 5
    CONCATENATED_PATH_DOWN = 6
    ADMINISTRATIVELY_DOWN = 7
    REVERSE_CONCATENATED_PATH_DOWN = 8


ADMIN_DOWN, DOWN, INIT, UP = State

AFTER_HEARING: Final[Mapping[State, Mapping[State, State]]] = MappingProxyType(
    {
        # ours       heard: AdminDown              Down              Init              Up
        ADMIN_DOWN: {ADMIN_DOWN: ADMIN_DOWN, DOWN: ADMIN_DOWN, INIT: ADMIN_DOWN, UP: ADMIN_DOWN},
        DOWN: {ADMIN_DOWN: DOWN, DOWN: INIT, INIT: UP, UP: DOWN},
        INIT: {ADMIN_DOWN: DOWN, DOWN: INIT, INIT: UP, UP: UP},
        UP: {ADMIN_DOWN: DOWN, DOWN: DOWN, INIT: UP, UP: UP},
    }
)
"""Our state and the peer's → our next one (6.8.6)."""

AFTER_SILENCE: Final[Mapping[State, State]] = MappingProxyType(
    {ADMIN_DOWN: ADMIN_DOWN, DOWN: DOWN, INIT: DOWN, UP: DOWN}
)
"""Our state → our next one when the Detection Time is over (6.8.4)."""


def transitions() -> Iterator[tuple[State, str, State]]:
    """Yield every change of state as (from, what makes it, to), those of an admin last."""
    for state in State:
        causes: dict[State, list[str]] = {}
        for heard, after in AFTER_HEARING[state].items():
            causes.setdefault(after, []).append(f"hears {_label(heard)}")
        causes.setdefault(AFTER_SILENCE[state], []).append("silence")
        for after, names in causes.items():
            if after != state:
                yield state, ", ".join(names), after
    for state in (DOWN, INIT, UP):
        yield state, "disabled", ADMIN_DOWN
    yield ADMIN_DOWN, "enabled", DOWN


def diagram() -> str:
    """Return the tables as a Mermaid state diagram."""
    lines = [f"    {_label(a)} --> {_label(b)}: {cause}" for a, cause, b in transitions()]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {_label(DOWN)}", *lines]) + "\n"


def _label(state: State) -> str:
    return state.name.title().replace("_", "")
