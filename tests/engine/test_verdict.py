"""Verdicts and badness: by cases, at the limits, and never better with worse figures."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import verdict as kernel
from patronus.engine.mos import CODEC_INDEX, mos_milli
from patronus.engine.policy import SlaClass
from patronus.engine.units import MS, NEVER, PPM
from patronus.engine.verdict import (
    COMPLIANT,
    OUTAGE,
    UNKNOWN,
    UNKNOWN_BADNESS_NS,
    VIOLATING,
    Figures,
    badness_ns,
    verdict,
)
from tests.mutants.harness import caught, mutant
from tests.oracles.verdict import judge

CODES = {"compliant": COMPLIANT, "unknown": UNKNOWN, "violating": VIOLATING, "outage": OUTAGE}

TIMES_NS = st.sampled_from([-1, 0, 1, 149 * MS, 150 * MS, 150 * MS + 1, 2**42, 2**62, NEVER])
LOSSES_PPM = st.sampled_from([-1, 0, 1, 9_999, 10_000, 10_001, 499_999, 500_000, PPM])
ROWS = st.lists(st.tuples(TIMES_NS, TIMES_NS, LOSSES_PPM), min_size=1, max_size=6)
CLASSES = st.builds(
    SlaClass,
    latency_ns=st.sampled_from([None, 0, 150 * MS]),
    jitter_ns=st.sampled_from([None, 0, 1, 150 * MS]),
    loss_ppm=st.sampled_from([None, 0, 10_000, PPM]),
    mos_milli=st.sampled_from([None, 1000, 3_500, 4_328, 4_329, 4_500]),
    codec=st.sampled_from(list(CODEC_INDEX)),
)
CASES = st.tuples(ROWS, CLASSES)

Row = tuple[int, int, int]


def figures(rows: list[Row]) -> Figures:
    return Figures(*(np.array(column, dtype=np.int64) for column in zip(*rows, strict=True)))


def judged(module: ModuleType, case: tuple[list[Row], SlaClass]) -> None:
    rows, sla = case
    known = figures(rows)
    mos = mos_milli(known.rtt_ns >> 1, known.loss_ppm, CODEC_INDEX[sla.codec])
    expected = [CODES[judge(*row, int(m), sla)] for row, m in zip(rows, mos, strict=True)]
    got = module.verdict(known, sla)
    assert got.dtype == np.int8
    assert got.tolist() == expected


@given(CASES)
def test_a_verdict_is_what_the_cases_say(case: tuple[list[Row], SlaClass]) -> None:
    """One broken limit violates; complying needs every figure; the limit itself complies."""
    judged(kernel, case)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("figure > limit", "figure >= limit"),
        ("known = figures.rtt_ns >= 0\n", "known = figures.rtt_ns >= -1\n"),
        ("known &= figure >= 0", "pass"),
        ("codes[broken] = VIOLATING", "codes[broken & known] = VIOLATING"),
        ("(mos >= 0) & (mos < sla.mos_milli)", "mos < sla.mos_milli"),
        ("figures.rtt_ns >> 1", "figures.rtt_ns"),
        ("loss_ppm >= OUTAGE_PPM", "loss_ppm > OUTAGE_PPM"),
    ],
)
def test_the_cases_catch_mutants(old: str, new: str) -> None:
    """Each way of breaking a verdict is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(CASES, lambda case: judged(broken, case), examples=1500)


PAIRS = st.tuples(
    st.tuples(TIMES_NS, TIMES_NS, LOSSES_PPM), st.tuples(TIMES_NS, TIMES_NS, LOSSES_PPM)
)


def ranked(module: ModuleType, pair: tuple[Row, Row]) -> None:
    """Of two rows, the one that is worse or equal in all three never ranks better."""

    # Unknown is worse than anything known.
    def depth(figure: int) -> int:
        return 2**63 if figure == -1 else figure

    (a, b, c), (d, e, f) = pair
    rows = [
        (pick(a, d, key=depth), pick(b, e, key=depth), pick(c, f, key=depth)) for pick in (min, max)
    ]
    better, worse = module.badness_ns(figures(rows)).tolist()
    assert 0 <= better <= worse <= UNKNOWN_BADNESS_NS
    for row, badness in zip(rows, (better, worse), strict=True):
        assert (badness == UNKNOWN_BADNESS_NS) == (-1 in row)


@given(PAIRS)
def test_badness_never_falls_when_a_figure_gets_worse(pair: tuple[Row, Row]) -> None:
    """It rises with each figure, saturates, and is greatest where something is unknown."""
    ranked(kernel, pair)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("np.minimum(figures.rtt_ns, worst)", "figures.rtt_ns"),
        ("np.minimum(sum_ns, worst), UNKNOWN", "sum_ns, UNKNOWN"),
        ("(rtt_ns >= 0) & (jitter_ns >= 0)", "(rtt_ns >= 0)"),
        ("JITTER_WEIGHT * jitter_ns", "0 - jitter_ns"),
        ("worst = UNKNOWN_BADNESS_NS - 1", "worst = UNKNOWN_BADNESS_NS"),
    ],
)
def test_the_order_catches_mutants(old: str, new: str) -> None:
    """Each way of breaking badness is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(PAIRS, lambda pair: ranked(broken, pair))


@given(st.tuples(TIMES_NS, TIMES_NS, LOSSES_PPM), st.integers(0, 2), CLASSES)
def test_a_verdict_never_improves_when_a_known_figure_gets_worse(
    row: Row, which: int, sla: SlaClass
) -> None:
    """One step up in one known figure leaves the verdict the same or makes it worse."""
    worse = list(row)
    if 0 <= worse[which] < NEVER:
        worse[which] += 1
    before, after = verdict(figures([row, (worse[0], worse[1], worse[2])]), sla).tolist()
    assert before <= after


def test_badness_by_hand() -> None:
    """40 ms round trip, 3 ms jitter and 1.5 % loss weigh 40 + 4 * 3 + 150 = 202 ms."""
    known = figures([(40 * MS, 3 * MS, 15_000), (40 * MS, -1, 15_000)])
    assert badness_ns(known).tolist() == [202 * MS, 2**42]


def test_voice_by_hand() -> None:
    """Half of 300 ms one way and no loss is R = 93.355 - 3.82 = 89.5, MOS 4.32: good for 4.3."""
    voice = SlaClass(mos_milli=4_300)
    known = figures([(300 * MS, -1, 0), (300 * MS, -1, 10_000), (300 * MS, -1, -1)])
    assert verdict(known, voice).tolist() == [COMPLIANT, VIOLATING, UNKNOWN]
