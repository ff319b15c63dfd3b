"""Measure the brownout tests: false alarms, detection times, and what a row costs.

    python -m tests.bench.brownout [--path-days N] [--seed N]

It prints each bar with what was measured, and figures that have no bar. Rows count 500
packets a second in batches of 100 ms; losses are drawn binomially (floats are fine here).
The optimal CUSUM knows both losses and has its threshold from the exact mean time between
false alarms, one a day. A whole run takes a quarter of an hour; ``--path-days 20`` gives an
impression in two minutes.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from patronus.engine.brownout import Brownout
from patronus.engine.health import Health
from patronus.engine.lossshift import LossShift
from patronus.engine.overlay import I64
from patronus.engine.units import MS, NEVER
from tests.generate.brownout_table import DAY_PACKETS, packets_between_alarms, weights

F64 = npt.NDArray[np.float64]
BATCH, BATCHES_A_SECOND, PATHS = 50, 10, 1000
DETECTIONS = 20_000
BARS = ((0.01, 0.03, 4.0), (0.01, 0.05, 1.5), (0.001, 0.03, 1.0))
"""Usual loss, loss in the brownout, and the bar of the 95th percentile in seconds."""


def batches(rng: np.random.Generator, loss: float, rows: int, packets: int) -> Iterator[I64]:
    """Yield losses of one batch after another."""
    while True:
        yield from rng.binomial(packets, loss, (100, rows))


def optimum(usual: float, bad: float) -> tuple[float, float, float]:
    """Return the weights and the threshold of the best test for one known change."""
    take, add = weights(1e6 * usual, 1e6 * bad)
    low, high = 5.0, 20.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        mean = packets_between_alarms(1e6 * usual, take, add, middle, BATCH)
        low, high = (middle, high) if mean < DAY_PACKETS[0] else (low, middle)
    return take, add, high


def calm(draws: Iterator[I64], days: float, packets: int = BATCH) -> tuple[LossShift, float]:
    """Let paths run undisturbed; return the tests and the alarms per path and day."""
    test, sent, alarms = LossShift(PATHS), np.full(PATHS, packets), 0
    steps = round(days * 86_400 * BATCHES_A_SECOND / PATHS)
    for step in range(1, steps + 1):
        alarms += len(test.observe(slice(0, PATHS), sent=sent, lost=next(draws)).alarmed)
        if step % BATCHES_A_SECOND == 0:
            test.rotate(slice(0, PATHS))
    return test, alarms / days


def detection(
    rng: np.random.Generator, warm: LossShift, bad: float, packets: int = BATCH, most: int = 20_000
) -> F64:
    """Return seconds from the change to the alarm, of paths that were calm."""
    times, sent = [], np.full(PATHS, packets)
    for _ in range(max(1, DETECTIONS // PATHS)):
        test, at = copy.deepcopy(warm), np.full(PATHS, np.inf)
        at[test.alarmed] = np.nan
        for step, lost in enumerate(batches(rng, bad, PATHS, packets), start=1):
            alarmed = test.observe(slice(0, PATHS), sent=sent, lost=lost).alarmed
            at[alarmed] = np.fmin(at[alarmed], step)
            if step == most or not np.isinf(at).any():
                break
        times.append(at[~np.isnan(at)] / BATCHES_A_SECOND)
    return np.concatenate(times)


def best_detection(rng: np.random.Generator, usual: float, bad: float) -> F64:
    """Return the seconds that the optimal test needs, from its own steady state."""
    take, add, threshold = optimum(usual, bad)
    score = np.zeros(DETECTIONS)
    for _ in range(3000):
        lost = rng.binomial(BATCH, usual, DETECTIONS)
        score = np.maximum(score + add * lost - take * BATCH, 0)
        score[score >= threshold] = 0
    at, step = np.full(DETECTIONS, np.inf), 0
    while np.isinf(at).any():
        step += 1
        score = np.maximum(score + add * rng.binomial(BATCH, bad, DETECTIONS) - take * BATCH, 0)
        at[np.isinf(at) & (score >= threshold)] = step
    return at / BATCHES_A_SECOND


def bursts(rng: np.random.Generator, gap_ms: float, length_ms: float, bad: float) -> Iterator[I64]:
    """Yield losses of a Gilbert-Elliott process, in steps of 10 ms (five packets)."""
    state = np.zeros(PATHS, dtype=np.bool_)
    while True:
        share = np.zeros(PATHS)
        for _ in range(10):
            luck = rng.random(PATHS)
            state = np.where(state, luck > 10 / length_ms, luck < 10 / gap_ms)
            share += state
        yield rng.binomial(BATCH, bad * share / 10)


def percentiles(seconds: F64) -> str:
    """Return the median, the 95th and the 99th percentile in words."""
    low, high, far = np.percentile(seconds, [50, 95, 99], method="inverted_cdf")
    return f"p50 {low:.1f}  p95 {high:.1f}  p99 {far:.1f} s"


class Table:
    """Lines of output, and whether every bar was met."""

    def __init__(self) -> None:
        self.met = True

    def bar(self, what: str, bound: str, measured: str, met: bool) -> None:
        """Print a bar."""
        self.met &= met
        print(f"{'ok  ' if met else 'MISS'}  {what:<46} {bound:<22} {measured}", flush=True)

    def note(self, what: str, measured: str) -> None:
        """Print a figure without a bar."""
        print(f"      {what:<46} {'':<22} {measured}", flush=True)


def independent_losses(rng: np.random.Generator, table: Table, days: float) -> None:
    """Bernoulli loss: the bars."""
    warm = {}
    for usual in (0.01, 0.001):
        warm[usual], rate = calm(batches(rng, usual, PATHS, BATCH), days)
        what = f"false alarms at {usual:.1%}, {days:g} path-days"
        table.bar(what, "<= 1 a path and day", f"{rate:.3f}", rate <= 1)
    for usual, bad, bound in BARS:
        ours, best = detection(rng, warm[usual], bad), best_detection(rng, usual, bad)
        p95, best_p95 = (float(np.percentile(s, 95, method="inverted_cdf")) for s in (ours, best))
        change = f"{usual:.1%} -> {bad:.0%}"
        table.bar(change, f"p95 <= {bound} s", percentiles(ours), p95 <= bound)
        ratio = p95 / best_p95
        table.bar(f"{change} against the optimum", "<= 1.25", f"{ratio:.2f}", ratio <= 1.25)
        table.note(f"{change}, the optimal CUSUM", percentiles(best))


def other_losses(rng: np.random.Generator, table: Table, days: float) -> None:
    """Bursts, and probes alone."""
    for gap, length, within in ((9_800, 200, 0.5), (30_000, 120, 0.3)):
        mean = within * length / (gap + length)
        warm, rate = calm(bursts(rng, gap, length, within), days / 10)
        what = f"bursts of {length} ms at {within:.0%}, mean {mean:.2%}"
        table.note(f"{what}: alarms", f"{rate:.0f} a path and day")
        for worse in (0.03, 0.8):
            table.note(f"... -> {worse:.0%}", percentiles(detection(rng, warm, worse)))
    for usual, levels in ((0.01, (0.03, 0.05, 0.8)), (0.001, (0.03,))):
        warm, rate = calm(batches(rng, usual, PATHS, 1), days / 4, packets=1)
        table.note(f"10 Hz probes alone at {usual:.1%}: alarms", f"{rate:.3f} a path and day")
        for bad in levels:
            table.note(f"... -> {bad:.0%}", percentiles(detection(rng, warm, bad, packets=1)))


Noise = Callable[[np.random.Generator, int], F64]
NOISE_MS: dict[str, Noise] = {
    "up to 2 ms each way": lambda rng, rows: rng.random(rows) * 2,
    "up to 20 ms each way": lambda rng, rows: rng.random(rows) * 20,
    "lognormal, median 1 ms, sigma 1.2": lambda rng, rows: rng.lognormal(0, 1.2, rows),
}


def probe(paths: tuple[Health, Brownout], turn: int, out_ns: I64, back_ns: I64) -> I64:
    """Send one probe on every path; return the rows whose delay alarms."""
    health, brownout = paths
    everybody = slice(0, PATHS)
    sent_ns, number = np.full(PATHS, turn * 100 * MS), np.full(PATHS, turn)
    sample = health.observe(
        everybody,
        sent_ns=sent_ns,
        reflected_ns=sent_ns + out_ns,
        arrived_ns=sent_ns + out_ns + back_ns,
        sequence=number,
        heard_count=number,
    )
    jitter_ns = health.jitter_ns(everybody)
    return brownout.observe_delay(everybody, rtt_ns=sample.rtt_ns, jitter_ns=jitter_ns).alarmed


def delays(rng: np.random.Generator, table: Table, minutes: int) -> None:
    """Round trips at 10 Hz: false alarms, and time until a step is seen."""

    def leg_ns(noise: Noise) -> I64:
        """Draw 20 ms and noise for each path."""
        return ((20 + noise(rng, PATHS)) * MS).astype(np.int64)

    for name, noise in NOISE_MS.items():
        calm_paths, turns, alarms = (Health(PATHS), Brownout(PATHS)), minutes * 600, 0
        for turn in range(turns):
            alarms += len(probe(calm_paths, turn, leg_ns(noise), leg_ns(noise)))
        rate = alarms * 1440 / minutes / PATHS
        table.note(f"noise {name}: alarms", f"{rate:.2f} a path and day")
        for step_ms in (5, 10, 30):
            paths, at = copy.deepcopy(calm_paths), np.full(PATHS, np.inf)
            for turn in range(100):
                back_ns = leg_ns(noise) + step_ms * MS
                alarmed = probe(paths, turns + turn, leg_ns(noise), back_ns)
                at[alarmed] = np.fmin(at[alarmed], (turn + 1) / BATCHES_A_SECOND)
            table.note(f"... {step_ms} ms more", percentiles(at))


def cost(rng: np.random.Generator, table: Table, loss: float) -> None:
    """Nanoseconds a row for a probe: health and both tests, on slices of 32 k rows."""
    rows, block, turns = 16 * 32_768, 32_768, 40
    health, brownout, spent = Health(rows), Brownout(rows), []
    for turn in range(turns):
        for start in range(0, rows, block):
            sent_ns = np.full(block, turn * 100 * MS)
            out_ns, back_ns = rng.integers(10 * MS, 11 * MS, (2, block))
            gone = rng.random(block) < loss
            arrived_ns = np.where(gone, NEVER, sent_ns + out_ns + back_ns)
            number = np.full(block, turn)
            here = slice(start, start + block)
            began = time.perf_counter()
            sample = health.observe(
                here,
                sent_ns=sent_ns,
                reflected_ns=sent_ns + out_ns,
                arrived_ns=arrived_ns,
                sequence=number,
                heard_count=number,
            )
            brownout.observe_loss(here, sent=sample.sent, lost=sample.lost)
            brownout.observe_delay(here, rtt_ns=sample.rtt_ns, jitter_ns=health.jitter_ns(here))
            spent.append((time.perf_counter() - began) / block * 1e9)
    usual = float(np.median(spent[len(spent) // 4 :]))
    table.note(f"a probe of a row, {loss:.1%} lost (bar: <= 40 ns)", f"{usual:.0f} ns (median)")


def measure(path_days: float, seed: int = 1) -> bool:
    """Run everything and print it; tell whether every bar was met (those of time apart)."""
    rng, table = np.random.default_rng(seed), Table()
    for loss in (0.0, 0.001, 0.01):
        cost(rng, table, loss)
    independent_losses(rng, table, path_days)
    other_losses(rng, table, path_days)
    delays(rng, table, minutes=60)
    return table.met


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--path-days", type=float, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sys.exit(0 if measure(options.path_days, options.seed) else 1)
