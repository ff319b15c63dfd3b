"""One end of a session: what is due, and what counts as a sample."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.stamp.fields import Format, Stamp
from patronus.dataplane.stamp.packet import Probe, Reflection
from patronus.dataplane.stamp.session import OUTSTANDING_MAX, Sample, Session, Stray, phase_ns
from patronus.dataplane.stamp.tlv import Liveness
from patronus.engine.units import MS, SECOND

INTERVAL = 100 * MS
TOLD = Liveness(True, 0, 5, 0, 0, 0, 41, 0, 0, 0)


def session(**options: object) -> Session:
    arguments: dict[str, object] = {"ssid": 7, "session": 5, **options}
    return Session("a>b", INTERVAL, **arguments)  # type: ignore[arg-type]  # options of a test


def reflected(probe: Probe, *, received_ns: int, dwell_ns: int = 0) -> Reflection:
    return Reflection(
        sequence=40,
        reflected=Stamp.of(received_ns + dwell_ns),
        received=Stamp.of(received_ns),
        sender_sequence=probe.sequence,
        sender_sent=probe.sent,
        sender_error=probe.error,
        ssid=probe.ssid,
        sender_ttl=252,
    )


@given(now_ns=st.integers(0, 2**60), late_ns=st.integers(0, INTERVAL - 1))
def test_probes_are_due_at_their_phase(now_ns: int, late_ns: int) -> None:
    """The first probe is due within an interval, later ones on the grid, however late it was."""
    ours = session()
    due_ns = ours.due_ns(now_ns)
    assert now_ns <= due_ns < now_ns + INTERVAL
    assert ours.due_ns(due_ns + late_ns) == due_ns, "it does not run away"
    assert due_ns % INTERVAL == phase_ns("a>b", INTERVAL)
    ours.send(due_ns + late_ns)
    assert ours.due_ns(due_ns + late_ns) == due_ns + INTERVAL


def test_missed_probes_are_not_made_up_for() -> None:
    """A driver that slept sends one probe, and the sequence has no hole."""
    ours = session()
    due_ns = ours.due_ns(SECOND)
    sent = [ours.send(due_ns + k * INTERVAL).sequence for k in (0, 1, 7)]
    assert (sent, ours.skipped) == ([0, 1, 2], 5)


def test_phases_spread() -> None:
    """A hundred tunnels leave no fifth of the interval empty."""
    phases = sorted(phase_ns(f"site{i}>hub", INTERVAL) for i in range(100))
    gaps = [b - a for a, b in pairwise(phases)]
    assert max(gaps) < INTERVAL // 5


@given(
    kind=st.sampled_from(Format),
    out_ns=st.integers(0, SECOND),
    dwell_ns=st.integers(0, SECOND),
    back_ns=st.integers(0, SECOND),
    offset_ns=st.integers(0, 2**50),
)
def test_the_reflector_takes_no_time(
    kind: Format, out_ns: int, dwell_ns: int, back_ns: int, offset_ns: int
) -> None:
    """Neither the round trip nor the way out of a sample holds the time in the reflector."""
    ours = session(kind=kind)
    sent_ns = ours.due_ns(SECOND)
    received_ns = sent_ns + out_ns + offset_ns
    back = reflected(ours.send(sent_ns), received_ns=received_ns, dwell_ns=dwell_ns)

    sample = ours.take(back, sent_ns + out_ns + dwell_ns + back_ns, TOLD)

    assert isinstance(sample, Sample)
    assert sample.rtt_ns == out_ns + back_ns
    assert sample.reflected_ns - sample.sent_ns == out_ns + offset_ns
    assert (sample.heard_count, sample.hops, sample.dwell_ns) == (41, 3, dwell_ns)
    assert ours.outstanding == 0


def test_a_stateful_reflector_of_others_counts_too() -> None:
    """Without our TLV the reflector's own sequence number tells what it heard."""
    ours = session(session=None)
    sent_ns = ours.due_ns(SECOND)
    sample = ours.take(reflected(ours.send(sent_ns), received_ns=9), sent_ns + MS)
    assert isinstance(sample, Sample)
    assert sample.heard_count == 41


def test_each_probe_is_answered_once() -> None:
    """Duplicates, other sessions, changed stamps and answers from the future are strays."""
    ours = session()
    sent_ns = ours.due_ns(SECOND)
    back = reflected(ours.send(sent_ns), received_ns=SECOND, dwell_ns=MS)
    now_ns = sent_ns + 2 * MS
    assert ours.take(back, now_ns) is Stray.OTHER_SESSION
    assert ours.take(back, now_ns, TOLD._replace(session=6)) is Stray.OTHER_SESSION
    assert ours.take(back._replace(ssid=8), now_ns, TOLD) is Stray.OTHER_SESSION
    forged = back._replace(sender_sent=Stamp.of(sent_ns - 1))
    assert ours.take(forged, now_ns, TOLD) is Stray.OTHER_STAMP
    assert ours.take(back, sent_ns, TOLD) is Stray.BACKWARDS
    assert isinstance(ours.take(back, now_ns, TOLD), Sample)
    assert ours.take(back, now_ns, TOLD) is Stray.UNEXPECTED
    assert ours.strays == {
        Stray.UNEXPECTED: 1, Stray.OTHER_SESSION: 3, Stray.OTHER_STAMP: 1, Stray.BACKWARDS: 1,
    }  # fmt: skip


def test_the_window_is_bounded() -> None:
    """Probes that nobody answers fall out, the oldest first."""
    ours = session()
    due_ns = ours.due_ns(SECOND)
    first = ours.send(due_ns)
    for k in range(1, OUTSTANDING_MAX + 5):
        ours.send(due_ns + k * INTERVAL)
    assert (ours.outstanding, ours.unanswered) == (OUTSTANDING_MAX, 5)
    assert ours.take(reflected(first, received_ns=0), 2**50, TOLD) is Stray.UNEXPECTED


def test_user_space_is_no_blackout_detector() -> None:
    """Intervals that only a detector wants are refused where the scheduler takes part."""
    with pytest.raises(ValueError, match=r"a>b: .* at least 100 ms, not 10 ms"):
        Session("a>b", 10 * MS, ssid=7)
    assert not session().detects
    assert Session("a>b", 10 * MS, ssid=7, in_kernel=True).detects
