"""Compiled faults: who is hit, from when until when, with which effect."""

from dataclasses import dataclass

from patronus.engine.units import NEVER
from patronus.sim.scenario import FaultSpec


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One happening of one fault, resolved to objects of this overlay.

    Only the fields that its kind uses are filled.
    """

    fault: FaultSpec
    ordinal: int
    """0 for the first happening of this fault; with the name it keys the fault's luck."""
    start_ns: int
    end_ns: int
    """``NEVER`` when it is not undone."""
    links: tuple[int, ...] = ()
    """Directed links, ascending."""
    sites: tuple[int, ...] = ()
    transports: tuple[int, ...] = ()
    """For drain and rekey storm: the transports meant at those sites."""
    rows: tuple[int, ...] = ()
    """For a rekey storm: one row of each tunnel, in the order in which they fall mute."""
    label: str = ""
    """What was hit, in words: ``access:berlin:mpls out``, ``group:conduit-7`` …"""

    @property
    def name(self) -> str:
        """``fault#ordinal``, unique in a run."""
        return f"{self.fault.name}#{self.ordinal}"


@dataclass(frozen=True, slots=True)
class Timeline:
    """All occurrences of a run, ordered by (start, name)."""

    occurrences: tuple[Occurrence, ...]
    warnings: tuple[str, ...] = ()
    """Effects that cannot be observed before the end, and the like."""
    end_ns: int = NEVER
    """When the scenario ends; no occurrence starts at or after it."""
