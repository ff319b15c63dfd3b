"""Measure how soon the kernel knows of a blackout, and how often it errs without one.

    python -m tests.bench.blackout [--kind plain vxlan wireguard] [--rows N] [--hogs 0 16]
                                   [--cuts 10] [--calm 30] [--loss bernoulli bursts]

Two namespaces with a cable, probes from both kernels every 10 ms, and a detect time of three
intervals and a tick. A cut takes all tunnels at once, at any time, so each gives as many
detections as there are tunnels: from the cut to the first instant at which packets leave the
tunnel. *mute* is the end whose packets are lost, which only its peer hears; *deaf* the other.
Downs are proofs that ran out while nothing was cut, at either end.

Then the cable loses a share of each tunnel's packets each way (``lossy.py``; on WireGuard it is
what goes into the device), with the configured multiplier and with the one that the engine would
choose for that loss. Beside the downs stand those that are predicted: of as late probes as were
measured (``falsedowns.py``), or exactly where they are so few that these play none (``chain.py``);
what chance alone exceeds in one of twenty measurements; and what ``engine/multiplier.py`` says.
"""

import argparse
import select
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux.records import Note
from patronus.engine.units import MS, SECOND
from tests.bench import falsedowns
from tests.bench.carriers import KINDS, Carried, carried
from tests.bench.chain import downs_per_interval
from tests.bench.falsedowns import Floats, Setting
from tests.bench.lossy import NONE, Cable, Loss
from tests.bench.pacing import hogs
from tests.dataplane.linux.ends import End, Pair, wait_for
from tests.kernel import step_aside

INTERVAL: Final = 10 * MS
MULTIPLIER: Final = 3
ROWS: Final = {"plain": 1000, "vxlan": 1000, "wireguard": 50}
SETTLE_S: Final = 2
PLAY_TUNNELS: Final = 4000
FEW: Final = 100
"""Downs that a play must have for its mean to be worth more than the exact one."""
BAR_MS: Final = {"both": 35, "deaf": 35, "mute": 45}

Times = npt.NDArray[np.int64]


class Lossy(NamedTuple):
    """What a calm time with loss gave."""

    loss: Loss
    multiplier: int
    tunnels: int
    seconds: float
    lost: float
    """Share of packets, as the cable counted them."""
    unanswered: float
    """Share of probes of which no reflection came back."""
    downs: int
    late: Floats

    def setting(self, interval_ns: int, slack_ns: int) -> Setting:
        """Return what is to be played to predict the downs."""
        detect_ns = self.multiplier * interval_ns + slack_ns
        return Setting(self.loss, interval_ns, detect_ns, self.late)


def detect_of(multiplier: int) -> int:
    """Return the detect time, with a tick that probes may be late."""
    return multiplier * INTERVAL + MS


def pause(seconds: float) -> None:
    """Let the kernel work."""
    select.select([], [], [], seconds)


def usable(end: End) -> npt.NDArray[np.bool_]:
    """Tell which tunnels carry packets, the latch aside."""
    found: npt.NDArray[np.bool_] = (
        time.monotonic_ns() - end.tunnels["confirmed_ns"] <= end.tunnels["detect_ns"]
    )
    return found


def wait_until_usable(found: Pair) -> None:
    """Wait until every tunnel carries packets at both ends."""
    for end in found.ends:
        wait_for(lambda end=end: bool(usable(end).all()), 60)  # type: ignore[misc]  # bound now


def detections(found: Pair, cut: tuple[End, ...]) -> dict[str, Times]:
    """Cut what some ends send; return how long each end needed for each tunnel."""
    wait_until_usable(found)
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


@contextmanager
def cables(found: Carried, cache: Path) -> Iterator[tuple[Cable, Cable]]:
    """Yield what loses the packets of either end."""
    near, far = (
        Cable(end, devices, found.frame, cache)
        for end, devices in zip(found.pair.ends, found.devices, strict=True)
    )
    try:
        yield near, far
    finally:
        near.close()
        far.close()


def expired(found: Pair) -> int:
    """Return how many proofs ran out at both ends."""
    return sum(end.note(Note.EXPIRED) for end in found.ends)


def lossy(
    found: Pair, both: tuple[Cable, Cable], loss: Loss, multiplier: int, detect_ns: int,
    seconds: float,
) -> Lossy:  # fmt: skip
    """Let cables lose packets for some seconds, and count."""
    for end in found.ends:
        end.tunnels["detect_ns"] = detect_ns
    wait_until_usable(found)
    for cable in both:
        cable.lose(loss)
    pause(1)
    for cable in both:
        cable.lose(loss)
    sent, back = probes(found)
    before, start = expired(found), time.monotonic()
    late = lateness(found.near) + lateness(found.far)
    while time.monotonic() - start < seconds:
        pause(1)
        late += lateness(found.near) + lateness(found.far)
    downs, took_s = expired(found) - before, time.monotonic() - start
    sent, back = probes(found)[0] - sent, probes(found)[1] - back
    seen, gone = (sum(int(cable.ways[name].sum()) for cable in both) for name in ("seen", "lost"))
    for cable in both:
        cable.lose(NONE)
    return Lossy(
        loss, multiplier, found.near.rows, took_s, gone / seen, 1 - back / sent, downs, late
    )


def lateness(end: End) -> Floats:
    """Return how often lately a probe came late to the peer, or its reflection back to us.

    By classes of ``falsedowns.FINE_NS`` from the probe's time on: it may have left late, and have
    waited for a processor. Both ends have the same clock here.
    """
    slots = end.memory["schedule"]
    interval_ns = int(slots["interval_ns"][0])
    samples = end.memory["samples"].reshape(end.rows, -1)
    fresh = samples["ready"] != 0
    times = np.concatenate(
        [
            (samples[name] - slots["due_ns"][:, None])[fresh]
            for name in ("received_ns", "arrived_ns")
        ]
    )
    places = times % interval_ns // falsedowns.FINE_NS
    return np.bincount(places, minlength=interval_ns // falsedowns.FINE_NS).astype(float)


def probes(found: Pair) -> tuple[int, int]:
    """Return how many probes were sent, and how many came back."""
    sent, back = (
        sum(int(end.probing[name].sum()) for end in found.ends) for name in ("sent", "returned")
    )
    return sent, back


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--rows", type=int, default=0, help="tunnels; 0: as the bar has them")
    parser.add_argument("--cuts", type=int, default=10)
    parser.add_argument("--hogs", type=int, nargs="+", default=[0, 16])
    parser.add_argument("--calm", type=int, default=30, help="seconds without a cut")
    parser.add_argument("--loss", nargs="*", choices=["bernoulli", "bursts"], default=[])
    parser.add_argument("--spokes", type=int, default=1, help="far WireGuard devices")
    parser.add_argument("--share", type=float, default=0.01, help="of packets lost")
    parser.add_argument("--burst", type=float, default=2.0, help="mean packets lost in a row")
    parser.add_argument("--play", type=int, default=60, help="seconds of the Monte Carlo")
    given = parser.parse_args()
    losses = {
        "bernoulli": Loss("bernoulli", given.share),
        "bursts": Loss("bursts", given.share, given.burst),
    }
    step_aside()
    # Played before anything is to be kept waiting: what the engine would choose.
    chosen = [(losses[name], multipliers(losses[name])) for name in given.loss]
    cache = Path(tempfile.gettempdir()) / "patronus-bench"
    for kind in given.kind:
        rows = given.rows or ROWS[kind]
        for count in given.hogs:
            with (
                carried(
                    KINDS[kind],
                    "st-black",
                    cache,
                    rows=rows,
                    detect_ns=detect_of(MULTIPLIER),
                    spokes=given.spokes,
                ) as found,
                cables(found, cache) as both,
            ):
                for end in found.pair.ends:
                    end.pace(INTERVAL)
                print(f"{rows} {kind} tunnels, {count} hogs, laid in {found.setup_s:.1f} s",
                      flush=True)  # fmt: skip
                with hogs(count):
                    report(found.pair, given.cuts, given.calm)
                    taken = [
                        lossy(found.pair, both, loss, each, detect_of(each), given.calm)
                        for loss, all_multipliers in chosen
                        for each in all_multipliers
                    ]
            for one in taken:
                print(line(one, given.play), flush=True)


def multipliers(loss: Loss) -> list[int]:
    """Return the configured multiplier, and the one that the engine would choose for a loss."""
    played = falsedowns.play(
        Setting(loss, INTERVAL, detect_of(MULTIPLIER)), tunnels=PLAY_TUNNELS, seconds=10
    )
    return [MULTIPLIER, falsedowns.multiplier_for(MULTIPLIER, played, INTERVAL)]


def line(taken: Lossy, play_s: float) -> str:
    """Return what loss gave, beside what is predicted of it."""
    setting = taken.setting(INTERVAL, MS)
    played = falsedowns.play(setting, tunnels=PLAY_TUNNELS, seconds=play_s)
    exposed_s = taken.tunnels * taken.seconds
    exact = downs_per_interval(taken.loss, taken.multiplier) * exposed_s / (INTERVAL / SECOND)
    predicted, most = played.expected(exposed_s), played.at_most(exposed_s)
    if played.downs < FEW:
        predicted, most = exact, falsedowns.chance(exact)
    formula = falsedowns.by_formula(taken.multiplier, played, INTERVAL, exposed_s)
    burst = f" in bursts of {taken.loss.burst:g}" if taken.loss.burst else ""
    return (
        f"  {taken.loss.share:.1%} lost{burst}, × {taken.multiplier}, {taken.seconds:.0f} s: "
        f"measured {taken.lost:.3%} of packets, {taken.unanswered:.3%} of probes unanswered "
        f"(played {played.share:.3%}); {taken.downs} false downs, predicted {predicted:.3g}, "
        f"at most {most:.0f} ({exact:.3g} were no probe late; formula {formula:.3g})"
        f"{'' if taken.downs <= most else ', missed'}"
    )


def report(found: Pair, cuts: int, calm_s: int) -> None:
    """Print what some cuts and a calm time gave."""
    wait_until_usable(found)
    pause(SETTLE_S)
    before = expired(found)
    pause(calm_s)
    print(f"  {expired(found) - before} false downs in {calm_s} s", flush=True)
    taken: dict[str, list[Times]] = {}
    near, far = found.ends
    for cut in ((near,), (far,), (near, far)):
        for _ in range(cuts):
            for name, times in detections(found, cut).items():
                taken.setdefault(name.split()[0], []).append(times)
    for name, parts in taken.items():
        times = np.sort(np.concatenate(parts))
        p50, p99 = (times[int(len(times) * share)] / MS for share in (0.5, 0.99))
        missed = ", missed" if p99 > BAR_MS[name] else ""
        print(f"  {name:5}{len(times):7} detections: p50 {p50:5.1f} ms, p99 {p99:5.1f} ms,"
              f" worst {times[-1] / MS:5.1f} ms (bar {BAR_MS[name]}{missed})",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
