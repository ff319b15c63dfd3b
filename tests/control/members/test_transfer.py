"""Transfers: again until acknowledged or superseded, and not for ever."""

from patronus.control.members.transfer import (
    ATTEMPTS_MAX,
    BURST,
    FINISH_NS,
    KEPT_MAX,
    RESEND_NS,
    Outgoing,
    Transfer,
)


def outgoing(count: int, ordinal: int = 1) -> Outgoing:
    return Outgoing(100 + ordinal, tuple(str(n).encode() for n in range(count)), ordinal)


def test_a_burst_is_what_is_missing() -> None:
    """First the first pieces; what arrives makes room for others, and what is lost is repeated."""
    transfer = Transfer(outgoing(BURST + 3), 0)
    assert len(transfer.burst(0)) == BURST
    assert transfer.burst(1) == [], "all are under way"
    assert transfer.acknowledge(0b11)
    assert transfer.burst(1) == [str(BURST).encode(), str(BURST + 1).encode()]
    assert transfer.acknowledge((1 << BURST) - 1 - 0b100)
    assert transfer.burst(RESEND_NS - 1) == [str(BURST + 2).encode()]
    assert transfer.burst(RESEND_NS) == [b"2"]
    assert not transfer.done
    assert transfer.acknowledge(-1)
    assert transfer.done
    assert not transfer.burst(10 * RESEND_NS)


def test_attempts_are_bounded_and_progress_renews_them() -> None:
    """Waits double; what brings no progress is given up after some attempts."""
    transfer = Transfer(outgoing(3), 0)
    waits = [transfer.attempt_ns() for _ in range(ATTEMPTS_MAX - 1)]
    assert waits == [RESEND_NS << n for n in range(ATTEMPTS_MAX - 1)]
    assert not transfer.given_up
    assert transfer.acknowledge(1)
    assert not transfer.acknowledge(1), "the same again is no progress"
    for _ in range(ATTEMPTS_MAX):
        assert not transfer.given_up
        transfer.attempt_ns()
    assert transfer.given_up


def test_long_transfers_are_finished_first() -> None:
    """A short one yields at once; a long one after a while, or when many have followed."""
    newer = outgoing(1, 2)
    assert Transfer(outgoing(BURST), 0).yields(newer, 0)
    assert not Transfer(outgoing(BURST + 1), 0).yields(newer, FINISH_NS - 1)
    assert Transfer(outgoing(BURST + 1), 0).yields(newer, FINISH_NS)
    assert not Transfer(outgoing(BURST + 1), 0).yields(outgoing(1, KEPT_MAX), 0)
    assert Transfer(outgoing(BURST + 1), 0).yields(outgoing(1, 1 + KEPT_MAX), 0)
