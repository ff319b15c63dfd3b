"""What the kernel's probes leave in mapped memory, as NumPy sees it.

Mirrors ``bpf/stamp.h`` and ``bpf/pacer.bpf.c``; :func:`assertions` gives the C that does not
compile where the two differ. :class:`Samples` hands the probes that came back to the engine,
without a system call and without a look at tunnels that have nothing new.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux import records
from patronus.dataplane.stamp.columns import Columns
from patronus.engine import pauses
from patronus.engine.overlay import I64

SAMPLES: Final = 32
"""Probes of one tunnel that came back and wait: a third of a second at 10 ms."""

AFTER_OVERRUN: Final = 11
"""Who comes so late that samples were overwritten leaves as many more unread: to the engine the
gap is then an outage of its own, and not the way that the path usually loses probes
(``health.OUTAGE_PROBES``)."""

LATENESS: Final = 64
LATENESS_NS: Final = 100_000
"""Width of a class of how late probes leave."""

_PROBING = np.dtype(
    [
        ("sent", "u8"), ("sent_ns", "i8"), ("skipped", "u8"), ("line_5_spare", "u8", 5),
        ("heard", "u8"), ("returned", "u8"), ("refused", "u8"), ("told_ns", "i8"),
        ("in_data", "u8"), ("in_probes", "u4"), ("peer_age_us", "u4"),
        ("peer_drains", "u4"), ("line_6_zero", "u4"), ("line_6_spare", "u8"),
        ("out_probes", "u8"), ("out_data", "u8"), ("out_large", "u8"), ("line_7_spare", "u8", 5),
    ]
)  # fmt: skip
_SAMPLE = np.dtype(
    [
        ("ready", "u8"), ("sent_ns", "i8"), ("received_ns", "i8"), ("reflected_ns", "i8"),
        ("arrived_ns", "i8"), ("sequence", "u4"), ("heard", "u4"), ("out_data", "u8"),
        ("hops", "u4"), ("zero", "u4"),
    ]
)  # fmt: skip
_PACING = np.dtype(
    [
        ("generation", "u4"), ("rows", "u4"), ("cursor", "u4"), ("queued", "u4"),
        ("tokens", "u4"), ("quick", "u4"), ("turns", "u8"), ("turn_ns", "i8"),
        ("gap_ns_max", "u8"), ("changed", "u8"), ("cloned", "u8"), ("strays", "u8"),
        ("refused", "u8"), ("deferred", "u8"), ("no_way", "u8"),
        ("patience_ns", "i8"), ("pauses", "u8"), ("paused_ns", "u8"),
        ("sent", "u8"), ("launched", "u8"),
        ("lateness", "u8", LATENESS),
    ]
)  # fmt: skip

PROBING: Final = _PROBING
SAMPLE: Final = _SAMPLE
SCHEDULE: Final = np.dtype([("due_ns", "i8"), ("interval_ns", "i8")])
PACING: Final = _PACING

STRUCTS: Final[Mapping[str, np.dtype[np.void]]] = MappingProxyType({
    "probing": PROBING, "sample": SAMPLE, "schedule": SCHEDULE, "pacing": PACING,
})  # fmt: skip

Records = npt.NDArray[np.void]


def assertions() -> str:
    """Return C that does not compile where C and NumPy disagree; for ``bpf/pacer.bpf.c``."""
    return "".join(f'_Static_assert({claim}, "{claim}");\n' for claim in _claims())


def _claims() -> Iterator[str]:
    for name, dtype in STRUCTS.items():
        yield f"sizeof(struct {name}) == {dtype.itemsize}"
        for field in dtype.names or ():
            kind, offset = fields_of(dtype)[field][:2]
            yield f"__builtin_offsetof(struct {name}, {field}) == {offset}"
            yield f"sizeof(((struct {name} *)0)->{field}) == {kind.itemsize}"
    yield f"SAMPLES == {SAMPLES}"
    yield f"LATENESS == {LATENESS}"
    yield f"LATENESS_NS == {LATENESS_NS}"
    yield f"PAUSE_EARNING == {pauses.EARNING}"
    yield f"PAUSE_MOST_NS == {pauses.MOST_NS}"
    yield "sizeof(struct probing) == sizeof(((struct tunnel *)0)->probe)"


def fields_of(dtype: np.dtype[np.void]) -> Mapping[str, Any]:
    """Return type and offset of each field of a record."""
    assert dtype.fields is not None
    return dtype.fields


def probing_of(tunnels: Records) -> Records:
    """Return the probes' share of tunnel records: a view, writable as they are."""
    offset = fields_of(records.TUNNEL)["probe"][1]
    view: Any = np.ndarray(
        tunnels.shape, dtype=PROBING, buffer=tunnels, offset=offset, strides=tunnels.strides
    )
    result: Records = view
    return result


def schedule(slots: Records, rows: I64, interval_ns: I64, phase_ns: I64, now_ns: int) -> None:
    """Probe rows at ``phase + k * interval``; an interval of 0 stops a row.

    Args:
        slots: the pacer's schedule.
        rows: the rows meant.
        interval_ns: of each.
        phase_ns: of each.
        now_ns: by the monotonic clock.
    """
    slots["interval_ns"][rows] = 0  # not probed while the two fields do not belong together
    slots["due_ns"][rows] = now_ns + (phase_ns - now_ns) % np.maximum(interval_ns, 1)
    slots["interval_ns"][rows] = interval_ns


def forget(tunnels: Records, rows: I64) -> None:
    """Let rows begin anew with another peer; not probed meanwhile."""
    probing_of(tunnels)[rows] = np.zeros(len(rows), dtype=PROBING)


class Told(NamedTuple):
    """What the newest test packets of some peers say; counts are 32-bit serial numbers."""

    at_ns: I64
    """When it came; 0 before the first."""
    out_probes_told: I64
    """Of our probes, sent by the newest that the peer had heard ..."""
    out_probes_heard: I64
    """... and how many of them it had."""
    out_data_told: I64
    out_data_heard: I64
    in_data_told: I64
    """Data packets that the peer had sent ..."""
    in_data_heard: I64
    """... and how many of them we had heard."""
    out_large_sent: I64
    """Of the largest packets (the last of the buckets), sent by us until it came ..."""
    out_large_heard: I64
    """... and the low 16 bits of how many the peer had heard."""
    drains: I64
    """``tlv.Drain`` of each peer."""


def told(tunnels: Records, rows: I64) -> Told:
    """Return what peers say without a probe of ours having come back."""
    probing = probing_of(tunnels)[rows]
    pairs = [_pair(probing[name]) for name in ("out_probes", "out_data", "in_data", "out_large")]
    halves = [half for pair in pairs for half in pair]
    return Told(*(probing["told_ns"], *halves, probing["peer_drains"].astype(np.int64)))


def _pair(word: npt.NDArray[np.uint64]) -> tuple[I64, I64]:
    # Told and heard are one word, so that they belong together.
    return (word >> np.uint64(32)).astype(np.int64), (word & np.uint64(2**32 - 1)).astype(np.int64)


class Samples:
    """Reads the probes that came back, out of rings of ``SAMPLES`` a tunnel."""

    def __init__(self, tunnels: Records, samples: Records) -> None:
        """Begin with what comes from now on; both arrays are the kernel's memory."""
        assert len(samples) == len(tunnels) * SAMPLES
        self._probing = probing_of(tunnels)
        self._samples = samples.reshape(len(tunnels), SAMPLES)
        self._taken: I64 = self._probing["returned"].astype(np.int64)
        self.missed: I64 = np.zeros(len(tunnels), dtype=np.int64)
        """Probes that were overwritten before they were read."""

    def drain(self) -> Iterator[Columns]:
        """Yield all that is new, at most one of each row at a time, in order for each row.

        All of it is copied before anything is handed over. Whoever takes it may need longer for
        it than the kernel to come round, and would find every other sample overwritten.
        """
        returned = self._returned()
        self._pass_over(returned)
        waiting = np.maximum(returned - self._taken, 0)
        rows = np.repeat(np.arange(len(waiting)), waiting)
        turn = np.arange(len(rows)) - np.repeat(np.cumsum(waiting) - waiting, waiting)
        number = self._taken[rows] + turn
        read = self._samples[rows, number % SAMPLES]
        # The kernel counts before it writes, so what it overwrote meanwhile is known now.
        self._pass_over(self._returned())
        kept = number >= self._taken[rows]
        np.maximum(self._taken, returned, out=self._taken)
        # Written by a processor that is not done: it is not what we wanted.
        ready = read["ready"] == number + 1
        np.add.at(self.missed, rows[kept & ~ready], 1)
        whole = kept & ready
        for each in range(int(waiting.max(initial=0))):
            now = np.flatnonzero(whole & (turn == each))
            if len(now):
                yield _columns(rows[now], read[now])

    def _returned(self) -> I64:
        counted: I64 = self._probing["returned"].astype(np.int64)
        return counted

    def _pass_over(self, returned: I64) -> None:
        """Leave unread what was overwritten by now, and some more of those rows."""
        late = returned - SAMPLES - self._taken
        left = np.where(late > 0, late + AFTER_OVERRUN, 0)
        self.missed += left
        self._taken += left


def _columns(rows: I64, read: Records) -> Columns:
    # The time in the reflector is in neither the round trip nor the way out: see session.py.
    dwell_ns = read["reflected_ns"] - read["received_ns"]
    return Columns(
        rows=rows,
        sent_ns=read["sent_ns"] + dwell_ns,
        reflected_ns=read["reflected_ns"],
        arrived_ns=read["arrived_ns"],
        sequence=read["sequence"].astype(np.int64),
        heard_count=read["heard"].astype(np.int64),
    )
