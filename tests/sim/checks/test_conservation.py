"""Conservation: packets and bits are counted twice, and one that is missing is found."""

import numpy as np
import numpy.typing as npt

from patronus.engine.units import MS, NEVER
from patronus.sim.checks.conservation import Ledger, leaking, owed, spilt_bps
from patronus.sim.comb import TOOTH_NS, Teeth
from patronus.sim.congestion import Routes, congest
from patronus.sim.tally import Second
from tests.sim.checkbench import Bench


def _teeth(packets: int) -> tuple[npt.NDArray[np.uint64], Teeth]:
    keys = np.array([7], dtype=np.uint64)
    sent = 7 + TOOTH_NS * np.arange(packets, dtype=np.int64)[None, :]
    arrived = sent + 20 * MS
    arrived[0, ::3] = NEVER
    copies = (arrived != NEVER).astype(np.int64)
    rows = np.zeros(sent.shape, dtype=np.int32)
    return keys, Teeth(sent, rows, arrived, copies, np.ones(sent.shape, dtype=np.bool_))


def test_packets_add_up_unless_one_is_broken() -> None:
    """Each packet that is owed meets one fate: delivered or lost, duplicates apart."""
    keys, teeth = _teeth(10)
    assert owed(keys, 0, 100 * MS).tolist() == [10]
    assert not leaking(keys, 0, 100 * MS, teeth).any()
    teeth.copies[0, 1] = 2
    assert not leaking(keys, 0, 100 * MS, teeth).any(), "twice delivered is delivered"
    for broken in ("inside", "copies", "arrived_ns", "sent_ns"):
        keys, teeth = _teeth(10)
        getattr(teeth, broken)[0, 4] = {
            "inside": 0,
            "copies": 0,
            "arrived_ns": 1,
            "sent_ns": NEVER - 1,
        }[broken]
        assert leaking(keys, 0, 100 * MS, teeth).any(), broken
    assert leaking(keys, 0, 110 * MS, _teeth(10)[1]).any(), "one that is owed was never sent"


def test_the_tally_is_held_to_our_own_count() -> None:
    """A second in which the tally has another number of packets is found."""
    ledger, (keys, teeth) = Ledger(1), _teeth(10)
    for offered, delivered, wrong in ((10, 6, False), (10, 7, True), (9, 6, True)):
        ledger.book(keys, 0, 100 * MS, teeth)
        numbers = {"offered": offered, "delivered": delivered}
        names = ("streams", "duplicated", "delay_ns", "jitter_ns", "mos_milli", "in_sla")
        zero = dict.fromkeys(names, np.zeros(1, dtype=np.int64))
        second = Second(**zero, **{k: np.array([v], dtype=np.int64) for k, v in numbers.items()})
        assert ledger.close(second).any() == wrong


def test_the_fluid_adds_up_unless_a_bit_is_missing() -> None:
    """Delivered, dropped and lost make what was offered, to the bit."""
    rate = np.array([700, 900], dtype=np.int64)
    links = np.array([0, 0], dtype=np.int64)
    state = congest(
        Routes(np.array([0, 1, 2], dtype=np.int64), links), rate_bps=rate,
        capacity_bps=np.array([1000], dtype=np.int64), buffer_ns=np.array([MS], dtype=np.int64),
        wire_loss_ppm=np.array([33_333], dtype=np.int64),
    )  # fmt: skip
    assert spilt_bps(rate, state) == 0
    bench = Bench()
    bench.checkers.fluid(rate, state)
    assert bench.checkers.conservation == 0
    state.delivered_bps[0] -= 1
    bench.checkers.fluid(rate, state)
    assert bench.checkers.conservation == 1
    assert "1 bit/s" in bench.checkers.findings[0].text
