"""Both tests together: what the engine asks of a brownout."""

import numpy as np

from patronus.engine.brownout import Brownout
from patronus.engine.units import MS


def several(number: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.full(3, number, dtype=np.int64)


def worsened() -> Brownout:
    """Return three rows: the first loses half, the second gets slow, the third stays well."""
    brownout, everybody = Brownout(3), slice(None)
    for _ in range(100):
        brownout.observe_loss(everybody, sent=several(50), lost=several(0))
        brownout.observe_delay(everybody, rtt_ns=several(20 * MS), jitter_ns=several(0))
    for _ in range(8):
        brownout.observe_loss(everybody, sent=several(50), lost=np.array([25, 0, 0]))
        rtt_ns = np.array([20, 70, 20]) * MS
        brownout.observe_delay(everybody, rtt_ns=rtt_ns, jitter_ns=several(0))
    return brownout


def test_the_two_tests_alarm_apart() -> None:
    """A row is alarmed for loss, or for delay; only loss has an estimate."""
    brownout = worsened()
    assert brownout.loss.alarmed.tolist() == [True, False, False]
    assert brownout.delay.alarmed.tolist() == [False, True, False]
    assert brownout.alarmed(slice(None)).tolist() == [True, True, False]
    assert brownout.estimate_ppm(np.array([0, 2])).tolist() == [500_000, -1]


def test_both_kinds_become_usual() -> None:
    """What stays for 300 intervals, of either kind, is reported once as the usual level."""
    brownout = worsened()
    adopted = [brownout.rotate(slice(None)).tolist() for _ in range(301)]
    assert adopted == [[]] * 299 + [[0, 1]] + [[]]
    assert not brownout.alarmed(slice(None)).any()


def test_an_outage_is_no_brownout() -> None:
    """Counting anew ends the alarm for loss and keeps what is usual; delay is untouched."""
    brownout = worsened()
    usual = brownout.loss.usual_ppm(slice(None)).tolist()
    brownout.count_anew(np.array([0, 1]))
    assert brownout.alarmed(slice(None)).tolist() == [False, True, False]
    assert brownout.loss.usual_ppm(slice(None)).tolist() == usual


def test_rows_are_forgotten() -> None:
    """A forgotten row is as new; others keep what they know."""
    brownout, new = worsened(), Brownout(1)
    brownout.forget(np.array([0]))
    assert brownout.alarmed(slice(None)).tolist() == [False, True, False]
    one = slice(0, 1)
    assert brownout.loss.usual_ppm(one) == new.loss.usual_ppm(one)
    assert brownout.loss.usual_ppm(slice(1, 2)) < new.loss.usual_ppm(one)
    assert brownout.delay.usual_ns.tolist()[0] == -1
