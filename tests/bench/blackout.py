"""Measure how soon the kernel knows of a blackout, and how often it errs without one.

    python -m tests.bench.blackout [--rows 1000] [--cuts 10] [--hogs 0 16] [--calm 30]

Two namespaces with a plain cable, probes from both kernels every 10 ms, and a detect time of
three intervals and a tick. A cut takes all tunnels at once, at any time, so each gives as many
detections as there are tunnels: from the cut to the first instant at which packets leave the
tunnel. *mute* is the end whose packets are lost, which only its peer hears; *deaf* the other.
Downs are proofs that ran out while nothing was cut.
"""

import argparse
import select
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux.records import Note
from patronus.engine.units import MS
from tests.bench.pacing import hogs
from tests.dataplane.linux.ends import End, Pair, pair, wait_for

INTERVAL = 10 * MS
DETECT = 3 * INTERVAL + MS

Times = npt.NDArray[np.int64]


def pause(seconds: float) -> None:
    """Let the kernel work."""
    select.select([], [], [], seconds)


def usable(end: End) -> npt.NDArray[np.bool_]:
    """Tell which tunnels carry packets, the latch aside."""
    found: npt.NDArray[np.bool_] = (
        time.monotonic_ns() - end.tunnels["confirmed_ns"] <= end.tunnels["detect_ns"]
    )
    return found


def detections(found: Pair, cut: tuple[End, ...]) -> dict[str, Times]:
    """Cut what some ends send; return how long each end needed for each tunnel."""
    for end in found.ends:
        wait_for(lambda end=end: bool(usable(end).all()), 60)  # type: ignore[misc]  # bound now
    pause(0.1)
    cut_ns = time.monotonic_ns()
    for end in cut:
        end.cut(on=True)
    wait_for(lambda: not any(usable(end).any() for end in found.ends))
    taken = {}
    for end in found.ends:
        gone_ns = end.tunnels["confirmed_ns"] + end.tunnels["detect_ns"] + 1
        name = "both" if len(cut) == 2 else "mute" if end is cut[0] else "deaf"
        taken[f"{name} {end.name[-1]}"] = gone_ns - cut_ns
    for end in cut:
        end.cut(on=False)
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--cuts", type=int, default=10)
    parser.add_argument("--hogs", type=int, nargs="+", default=[0, 16])
    parser.add_argument("--calm", type=int, default=30, help="seconds without a cut")
    given = parser.parse_args()
    for count in given.hogs:
        with (
            tempfile.TemporaryDirectory() as cache,
            pair("st-black", Path(cache), rows=given.rows, detect_ns=DETECT) as found,
        ):
            for end in found.ends:
                end.pace(INTERVAL)
            with hogs(count):
                report(found, given.cuts, given.calm, count)


def report(found: Pair, cuts: int, calm_s: int, count: int) -> None:
    """Print what some cuts and a calm time gave."""
    for end in found.ends:
        wait_for(lambda end=end: bool(usable(end).all()), 60)  # type: ignore[misc]  # bound now
    pause(2)
    before = [end.note(Note.EXPIRED) for end in found.ends]
    pause(calm_s)
    downs = sum(end.note(Note.EXPIRED) for end in found.ends) - sum(before)
    print(f"{found.near.rows} tunnels, {count} hogs: {downs} false downs in {calm_s} s")
    taken: dict[str, list[Times]] = {}
    near, far = found.ends
    for cut in ((near,), (far,), (near, far)):
        for _ in range(cuts):
            for name, times in detections(found, cut).items():
                taken.setdefault(name.split()[0], []).append(times)
    for name, parts in taken.items():
        times = np.sort(np.concatenate(parts))
        p50, p99 = (times[int(len(times) * share)] / MS for share in (0.5, 0.99))
        print(f"  {name:5}{len(times):7} detections: p50 {p50:5.1f} ms, p99 {p99:5.1f} ms,"
              f" worst {times[-1] / MS:5.1f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
