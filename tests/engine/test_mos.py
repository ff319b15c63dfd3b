"""The E-model: published points, an oracle in floats, and never better with worse input."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import mos, mos_table
from patronus.engine.mos import CODEC_INDEX, CODECS, UNKNOWN_MOS, mos_milli
from patronus.engine.mos_table import DELAY_MILLI, R_BASE_MILLI
from patronus.engine.units import MS, NEVER, PPM
from tests.generate import mos_table as generator
from tests.mutants.harness import caught, mutant
from tests.oracles import mos as oracle

LAST_MS = len(DELAY_MILLI) - 1

CALLS = st.tuples(
    st.integers(0, len(CODECS) - 1),
    st.sampled_from([-1, 0, 1, MS, 100 * MS, LAST_MS * MS, LAST_MS * MS + 1, NEVER])
    | st.integers(0, 3000 * MS),
    st.sampled_from([-1, 0, 1, 43_000, PPM - 1, PPM, 3 * PPM]) | st.integers(0, PPM),
    st.sampled_from([0, 1, MS - 1, MS]),
    st.sampled_from([0, 1, 100]),
)
"""Codec, delay, loss, and how much worse both get."""


def one(kernel: ModuleType, delay_ns: int, loss_ppm: int, codec: int) -> int:
    figures = np.array([delay_ns]), np.array([loss_ppm])
    return int(kernel.mos_milli(*figures, codec)[0])


def holds(kernel: ModuleType, call: tuple[int, int, int, int, int]) -> None:
    codec, delay_ns, loss_ppm, more_ns, more_ppm = call
    got = one(kernel, delay_ns, loss_ppm, codec)
    if delay_ns < 0 or loss_ppm < 0:
        assert got == UNKNOWN_MOS
        return
    worse = one(kernel, min(delay_ns + more_ns, NEVER), loss_ppm + more_ppm, codec)
    assert 1000 <= worse <= got <= 4500
    # The table goes by whole milliseconds, rounded up, and ends; its first three are level.
    step_ms = min(-(-delay_ns // MS), LAST_MS)
    r = oracle.rating(
        0 if step_ms <= 2 else step_ms,
        min(loss_ppm, PPM) / 10_000,
        CODECS[codec].ie_milli / 1000,
        CODECS[codec].bpl_ppm / 10_000,
    )
    assert got == pytest.approx(1000 * oracle.score(r), abs=1.1)


@given(CALLS)
def test_the_score_is_that_of_the_formulas_and_never_rises(
    call: tuple[int, int, int, int, int],
) -> None:
    """Integers agree with the model in floats to a thousandth; unknown stays unknown."""
    holds(mos, call)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("+ (MS - 1)) // MS", ") // MS"),  # rounds a delay down
        ("np.minimum(step, len(DELAY) - 1)", "step"),  # reads beyond the table
        ("(delay_ns >= 0) & (loss_ppm >= 0)", "delay_ns >= 0"),
        ("np.maximum(1000 + exact // _TRILLION, 1000)", "1000 + exact // _TRILLION"),
        ("_within(loss_ppm, PPM)", "loss_ppm"),
        ("(95_000 - codec.ie_milli) * codec.bpl_ppm", "95_000 * codec.bpl_ppm"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of breaking the model is noticed."""
    broken = mutant(mos, old, new)
    assert caught(CALLS, lambda call: holds(broken, call))


def test_the_whole_table_never_gets_better() -> None:
    """No delay scores better than a shorter one, no loss better than a smaller one."""
    delay_ns = np.arange(LAST_MS + 2, dtype=np.int64) * MS
    loss_ppm = np.arange(0, PPM + 1, 250, dtype=np.int64)
    assert (np.diff(DELAY_MILLI) >= 0).all()
    for codec in range(len(CODECS)):
        for loss in (0, 10_000, 200_000):
            score = mos_milli(delay_ns, np.full(len(delay_ns), loss), codec)
            assert (np.diff(score) <= 0).all()
        for delay in (0, 150 * MS, 1000 * MS):
            score = mos_milli(np.full(len(loss_ppm), delay), loss_ppm, codec)
            assert (np.diff(score) <= 0).all()


def test_the_tables_are_what_their_script_writes() -> None:
    """The committed module is byte for byte the generator's."""
    assert mos_table.__file__ is not None
    assert Path(mos_table.__file__).read_text() == generator.module()


def test_the_default_rating() -> None:
    """All defaults give R = 93.2 (G.107 clause 7.7), which Annex B turns into 4.41."""
    assert round((R_BASE_MILLI - DELAY_MILLI[0]) / 1000, 1) == 93.2
    assert one(mos, 0, 0, CODEC_INDEX["g711"]) == 4409


@pytest.mark.parametrize(
    ("r", "score"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58), (0, 1.0)]
)
def test_ratings_become_scores_as_published(r: int, score: float) -> None:
    """The limits of G.107 Table B.1, by the engine's own arithmetic (the loss is solved for R)."""
    base = R_BASE_MILLI - DELAY_MILLI[0]
    # Without concealment R = base - 95 loss / (loss + 4.3 %); loss that brings it down to r:
    impaired = base / 1000 - r
    loss_ppm = min(round(43_000 * impaired / (95 - impaired)), PPM) if impaired < 95 else PPM
    got = one(mos, 0, loss_ppm, CODEC_INDEX["g711-noplc"]) / 1000
    assert got == pytest.approx(score, abs=0.008)  # 80 is 4.024 by the formula


@pytest.mark.parametrize(("delay_ms", "published", "within"), [
    (150, 0.024 * 150, 0.5),
    (177.3, 0.024 * 177.3, 1.2),
    (400, 0.024 * 400 + 0.11 * (400 - 177.3), 3.1),
])  # fmt: skip
def test_delay_costs_about_what_is_published(
    delay_ms: float, published: float, within: float
) -> None:
    """Cole and Rosenbluth (ACM CCR 31-2, 2001) fitted the curve by two straight lines."""
    assert DELAY_MILLI[round(delay_ms)] / 1000 == pytest.approx(published, abs=within)


def test_absolute_delay_costs_nothing_up_to_a_tenth_of_a_second() -> None:
    """G.107 7-27: only echo counts below 100 ms; at 200 ms (X = 1) the third term is 3.04."""
    # 25 (2^(1/6) - 3 (1 + 3^-6)^(1/6) + 2) = 25 (1.12246 - 3.00069 + 2) = 3.044
    assert generator.long_delay(100) == 0
    assert generator.long_delay(200) == pytest.approx(3.044, abs=0.001)


def test_loss_costs_what_hand_arithmetic_says() -> None:
    """1 % costs G.711 95/26.1 = 3.64 points with concealment and 95/5.3 = 17.92 without."""
    for name, points in (("g711", 3.64), ("g711-noplc", 17.92), ("g729", 11 + 84 / 20)):
        r = (R_BASE_MILLI - DELAY_MILLI[0]) / 1000 - points
        got = one(mos, 0, 10_000, CODEC_INDEX[name])
        assert got == pytest.approx(1000 * oracle.score(r), abs=2)


def test_an_unknown_codec_is_an_error() -> None:
    """A codec that does not exist has no score."""
    with pytest.raises(IndexError):
        mos_milli(np.array([0]), np.array([0]), len(CODECS))
