"""What one run leaves behind, in memory: frames for analysts, one summary for machines.

The columns named here are the contract between the simulator, the report, the
expectations and ``compare``. Times are integers of nanoseconds since the start
of the scenario (the warm-up is negative and left out). ``NEVER`` in a duration
means "expected but not reached" and counts as infinite in every percentile.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

DECISIONS: Final = (
    "t_ns", "site", "destination", "class", "from", "to", "reason", "numbers",
)  # fmt: skip
"""The journal. ``from``/``to`` are path names, "" for none: ``mpls>berlin`` is the
direct tunnel over mpls, ``mpls>frankfurt>berlin`` goes through frankfurt.
``numbers`` is a dict of the integers that decided."""

DETECTIONS: Final = (
    "fault", "t0_ns", "site", "peer", "transport", "layer", "at_ns", "detection_ns",
)  # fmt: skip
"""One row a (fault occurrence, tunnel that noticed); ``layer`` is ``liveness`` or
``brownout``; a false alarm has ``fault`` "" and ``detection_ns`` -1."""

FAILOVERS: Final = (
    "fault", "kind", "t0_ns", "site", "destination", "class", "path_before", "path_after",
    "layer", "moved_by", "detection_ns", "switch_ns", "failover_ns", "outage_ns", "degraded_ns",
)  # fmt: skip
"""One row an exposure. ``moved_by``: ``kernel``, ``engine`` or "" (nobody)."""

SERIES: Final = (
    "t_ns", "site", "destination", "class", "path", "offered", "delivered", "lost",
    "duplicated", "delay_ns", "jitter_ns", "mos_milli", "in_sla",
)  # fmt: skip
"""One row a (second, measured flow): the 10 ms comb of packets counted at the receiver.
``delay_ns`` is the mean one-way delay of the delivered ones (-1 when none was),
``mos_milli`` -1 when nothing was offered, ``in_sla`` 1, 0 or -1 (no SLA)."""

HEALTH: Final = (
    "t_ns", "site", "peer", "transport", "state", "rtt_ns", "jitter_ns", "loss_ppm",
)  # fmt: skip
"""What the engine believed of each tunnel that a fault touched, once a second.
``state`` is a liveness state; unknown numbers are -1."""

FAULTS: Final = (
    "fault", "kind", "label", "start_ns", "end_ns", "links", "sites",
    "quantity", "commanded", "measured_before", "measured", "measured_after", "verified",
)  # fmt: skip
"""Commanded against observed, one row an occurrence: ``quantity`` names what is
measured at the receiver (``loss_ppm``, ``owd_ns`` …), ``verified`` is ``yes``, ``no`` or
``unobserved`` (too few packets to say). ``links`` and ``sites`` count what was hit; the
numbers are integers in the unit that ends the quantity's name, -1 where there is none."""


@dataclass(frozen=True)
class Run:
    """One finished (or interrupted) run."""

    name: str
    seed: int
    summary: Mapping[str, Any]
    """As written to ``summary.json`` (see ``docs/metrics.md``)."""
    decisions: pd.DataFrame
    detections: pd.DataFrame
    failovers: pd.DataFrame
    series: pd.DataFrame
    health: pd.DataFrame
    faults: pd.DataFrame
    topology: Mapping[str, Any]
    """For drawings: ``sites`` [{name, x, y, hub}], ``nodes`` [{name, x, y, provider}],
    ``links`` [{name, provider, a, b}] where a, b are [x, y], ``failed`` [link names hit by a
    fault], ``failed_sites`` [names]."""
    journal: tuple[bytes, ...] = ()
    """The canonical lines of ``journal.jsonl``, without newlines."""
    trace: tuple[str, ...] = field(default=())
    """Lines of ``--trace``, human readable."""
