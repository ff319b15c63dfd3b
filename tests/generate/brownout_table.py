"""Write ``engine/brownout_table.py``: weights of the loss test for each usual loss.

For a usual loss p0 and a suspected one p1, log-likelihood gives each packet its weight
(Page, Biometrika 1954): a lost one adds log(p1/p0), another takes log((1-p0)/(1-p1)).
Three suspicions are tested side by side. Each threshold follows from the mean time
between false alarms, computed exactly for packets that are counted in batches: the
test is a Markov chain over its own value (Brook and Evans, Biometrika 1972). Weights
are then scaled so that every threshold is ``ALARM`` and the engine adds integers.

Run it from the root of the repository: ``python -m tests.generate.brownout_table``.
"""

from math import ceil, log
from pathlib import Path
from textwrap import fill

import numpy as np
from scipy.stats import binom

TARGET = Path(__file__).parents[2] / "engine" / "brownout_table.py"

ALARM = 2**24

RATE = (500, 500, 10)
"""Counted packets a second, by suspicion."""

BATCH = (50, 50, 1)
"""Packets counted at once: data every 100 ms; the last suspicion is for probes alone."""

DAY_PACKETS = tuple(86_400 * rate for rate in RATE)

ODDS = (3, 6, 20)
FLOOR_PPM = (5_000, 30_000, 300_000)
"""Suspicions: loss at so many times the usual odds, and at least so much. The first is the
smallest change worth an alarm, the second a typical brownout, the last a nearly dead path
that must be seen with a handful of probes."""

FALSE_PER_DAY = (0.60, 0.30, 0.50)
"""False alarms of each at ``RATE``. Together they stay below 1: the first two often fall
together, and the last has one in twenty days where packets are counted in batches of 50.
In batches of 2, 5, 10 or 20 it has 0.76 a day at most."""

BASE_PPM_MIN, BASE_PPM_MAX, RATIO = 500, 300_000, 1.05
"""Usual losses: below the first a path is as good as clean, above the last it is never usual."""

LOSSES_MIN = 2.2
"""Never an alarm for two lost packets: on the cleanest path a moment's silence loses so many."""

KNOTS = 9
CELLS = 250


def bases_ppm() -> list[int]:
    """Return the usual losses, ascending, each about ``RATIO`` times the one before."""
    steps = ceil(log(BASE_PPM_MAX / BASE_PPM_MIN) / log(RATIO))
    ratio = BASE_PPM_MAX / BASE_PPM_MIN
    return [round(BASE_PPM_MIN * ratio ** (i / steps)) for i in range(steps + 1)]


def suspicion_ppm(base_ppm: float, kind: int) -> int:
    """Return the suspected loss for a usual one."""
    odds = ODDS[kind] * base_ppm / (1e6 - base_ppm)
    return max(round(1e6 * odds / (1 + odds)), FLOOR_PPM[kind])


def weights(base_ppm: float, suspected_ppm: float) -> tuple[float, float]:
    """Return what each packet takes and what a lost one adds to that, in nats."""
    p0, p1 = base_ppm / 1e6, suspected_ppm / 1e6
    return log((1 - p0) / (1 - p1)), log(p1 * (1 - p0) / (p0 * (1 - p1)))


def packets_between_alarms(
    base_ppm: float, take: float, add: float, threshold: float, batch: int
) -> float:
    """Return the mean number of packets from zero to an alarm when nothing is wrong.

    The value of the test is cut into cells; what falls between two is shared out so that
    its mean stays right.
    """
    width = threshold / CELLS
    here, lost = np.arange(CELLS)[None, :], np.arange(batch + 1)[:, None]
    chance = binom.pmf(lost, batch, base_ppm / 1e6)
    there = np.clip((here * width + add * lost - take * batch) / width, 0, CELLS)
    cell = np.minimum(there.astype(int), CELLS - 1)
    move = np.zeros((CELLS, CELLS + 1))
    np.add.at(move, (here, cell), chance * (1 - (there - cell)))
    np.add.at(move, (here, cell + 1), chance * (there - cell))
    steps = np.linalg.solve(np.eye(CELLS) - move[:, :CELLS], np.ones(CELLS))
    return batch * float(steps[0])


def threshold(base_ppm: float, kind: int) -> float:
    """Return the threshold in nats."""
    take, add = weights(base_ppm, suspicion_ppm(base_ppm, kind))
    wanted = DAY_PACKETS[kind] / FALSE_PER_DAY[kind]
    low, high = 800, 2_000  # hundredths
    while high - low > 1:
        middle = (low + high) // 2
        mean = packets_between_alarms(base_ppm, take, add, middle / 100, BATCH[kind])
        low, high = (middle, high) if mean < wanted else (low, middle)
    return max(high / 100, LOSSES_MIN * (add - take))


def columns(kind: int) -> list[tuple[int, int, int]]:
    """Return (suspected ppm, taken by each packet, added by a lost one) for each usual loss."""
    bases = bases_ppm()
    knots = np.geomspace(bases[0], bases[-1], KNOTS)
    curve = [threshold(float(base), kind) for base in knots]
    rows = []
    for base in bases:
        suspected = suspicion_ppm(base, kind)
        scale = ALARM / float(np.interp(log(base), np.log(knots), curve))
        take, add = weights(base, suspected)
        rows.append((suspected, round(take * scale), round(add * scale)))
    return rows


def listed(values: list[int], indent: int) -> str:
    """Return numbers as lines of a tuple."""
    text = ", ".join(map(str, values)) + ","
    margin = " " * indent
    return fill(text, 100, initial_indent=margin, subsequent_indent=margin)


def module() -> str:
    """Return the text of ``engine/brownout_table.py``."""
    kinds = [columns(kind) for kind in range(len(ODDS))]
    text = [
        '"""Weights of the loss test; written by ``python -m tests.generate.brownout_table``."""',
        "",
        "from typing import Final",
        "",
        f"ALARM: Final = 2**{ALARM.bit_length() - 1}",
        '"""Every threshold."""',
        "",
        "# fmt: off",
        "BASE_PPM: Final = (",
        listed(bases_ppm(), 4),
        ")",
        '"""Usual losses, ascending."""',
    ]
    for name, field, meaning in (
        ("SUSPECTED_PPM", 0, "Suspected losses, by suspicion and usual loss."),
        ("TAKEN", 1, "What each packet takes from the test."),
        ("ADDED", 2, "What a lost packet adds."),
    ):
        text += ["", f"{name}: Final = ("]
        for rows in kinds:
            text += ["    (", listed([row[field] for row in rows], 8), "    ),"]
        text += [")", f'"""{meaning}"""']
    return "\n".join([*text, ""])


if __name__ == "__main__":
    TARGET.write_text(module())
