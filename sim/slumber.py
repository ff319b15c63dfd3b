"""What passes over rows that may sleep are told of them; the arrays themselves."""

from typing import Any, NamedTuple

from patronus.engine.fingerprint import U64
from patronus.engine.overlay import I32, I64
from patronus.engine.ranking import Terms
from patronus.engine.selection import Bools
from patronus.sim.flight import Flight


class Luck(NamedTuple):
    """What decides about the probes of all rows while their links do the usual."""

    keys: U64
    interval_ns: I64
    phase_ns: I64
    out: tuple[I64, I64, U64]
    """Delay, bound of jitter, limit of loss."""
    home: tuple[I64, I64, U64]


class Calendar(NamedTuple):
    """Evaluations by row."""

    judged_ns: I64
    """Up to which time they are done."""
    turn_ns: I64
    """When in each interval they come."""


class Patience(NamedTuple):
    """How long rows may be without a reflection, and what becomes of probes that get lost."""

    habits: I64
    """Probes lost and bursts of them, shape (2, rows)."""
    detect_ns: I64
    configured_ns: I64
    """Detect times of the liveness profiles."""
    adaptive: bool
    """Whether detect times follow habits."""
    stale_ns: int
    counted: I64
    """By row: the first probe of which nobody has counted yet whether it gets lost."""


class Known(NamedTuple):
    """What is known of all rows; the arrays themselves."""

    meters: Any
    window: Any
    standing: Any
    terms: Terms
    calendar: Calendar
    patience: Patience


class Signs(NamedTuple):
    """By what a row is seen to be fit for sleep."""

    calm_before_ns: int
    usual_since_ns: I64
    """Since when each row's links do the usual."""
    awake: Bools
    """Rows that must not sleep."""
    up: Any
    silent: Bools
    sites: Bools
    """Where agents run, with true clocks and the common policy."""
    src: I32
    dst: I32
    heard_count: I64


class Memory(NamedTuple):
    """What the prober remembers of each row."""

    from_heard_ns: I64
    from_back_ns: I64
    heard_count: I64
    silent: Bools


class Woken(NamedTuple):
    """Rows that are awake again, with what goes on with them."""

    flights: list[Flight]
    """Their probes that were sent and are not back."""
    asked_ns: int
    """When peers were asked last what they have heard."""
    asked: I64
    """Rows of which a reflection was overdue then,"""
    heard_count: I64
    """and how many of their probes up to then the peer hears."""
