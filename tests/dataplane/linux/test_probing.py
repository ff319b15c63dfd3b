"""What the kernel's probes leave in memory, read without a kernel."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.linux import probing, records
from patronus.dataplane.linux.probing import AFTER_OVERRUN, SAMPLES, Records, Samples
from patronus.engine.health import OUTAGE_PROBES
from patronus.engine.units import MS, SECOND

ROWS = 3


class Kernel:
    """Memory as the kernel writes it."""

    def __init__(self) -> None:
        self.tunnels: Records = records.zeros(records.TUNNEL, ROWS)
        self.samples: Records = np.zeros(ROWS * SAMPLES, dtype=probing.SAMPLE)
        self.probing = probing.probing_of(self.tunnels)

    def back(self, row: int, *, ready: bool = True) -> None:
        """Take a probe that came back."""
        number = int(self.probing["returned"][row])
        self.probing["returned"][row] = number + 1
        place = row * SAMPLES + number % SAMPLES
        self.samples[place] = (
            number + 1 if ready else 0, number * SECOND, number * SECOND + 70 * MS,
            number * SECOND + 71 * MS, number * SECOND + 9 * MS, number, number + 1, 0, 0, 0,
        )  # fmt: skip


def test_probing_is_a_view_of_the_tunnels() -> None:
    """What is written there stands in the tunnel's last lines and nowhere else."""
    kernel = Kernel()
    kernel.probing["sent"] = 2**64 - 1
    assert kernel.tunnels["probe"][:, 0].tolist() == [2**64 - 1] * ROWS
    probing.forget(kernel.tunnels, np.array([0, 2]))
    assert kernel.tunnels["probe"].any(axis=1).tolist() == [False, True, False]
    assert not kernel.tunnels["line_4_spare"].any()


@given(turns=st.lists(st.lists(st.integers(0, ROWS - 1), max_size=SAMPLES), max_size=10))
def test_all_samples_come_in_order(turns: list[list[int]]) -> None:
    """However they arrive, each row's samples are handed over once, in order, one a turn."""
    kernel = Kernel()
    reader = Samples(kernel.tunnels, kernel.samples)
    seen: dict[int, list[int]] = {row: [] for row in range(ROWS)}
    for turn in turns:
        for row in turn:
            kernel.back(row)
        for columns in reader.drain():
            assert len(set(columns.rows.tolist())) == len(columns.rows)
            for row, sequence in zip(columns.rows, columns.sequence, strict=True):
                seen[int(row)].append(int(sequence))
    sent = {row: sum(turn.count(row) for turn in turns) for row in range(ROWS)}
    assert seen == {row: list(range(count)) for row, count in sent.items()}
    assert reader.missed.tolist() == [0] * ROWS


def test_time_in_the_reflector_is_taken_out() -> None:
    """A millisecond that the peer took is in neither the round trip nor the way out."""
    kernel = Kernel()
    reader = Samples(kernel.tunnels, kernel.samples)
    kernel.back(1)
    (columns,) = reader.drain()
    assert (columns.arrived_ns - columns.sent_ns).tolist() == [8 * MS]
    assert (columns.reflected_ns - columns.sent_ns).tolist() == [70 * MS]
    assert columns.heard_count.tolist() == [1]


def test_what_was_overwritten_is_counted() -> None:
    """A reader that sleeps gets the newest samples, less as many as make the gap an outage."""
    kernel = Kernel()
    reader = Samples(kernel.tunnels, kernel.samples)
    for _ in range(SAMPLES + 5):
        kernel.back(2)
    found = [int(columns.sequence[0]) for columns in reader.drain()]
    assert found == list(range(5 + AFTER_OVERRUN, SAMPLES + 5))
    assert reader.missed.tolist() == [0, 0, 5 + AFTER_OVERRUN]


@given(pace=st.integers(0, 2 * SAMPLES), waiting=st.integers(1, SAMPLES))
def test_who_takes_long_for_each_sample_gets_all_that_waited(pace: int, waiting: int) -> None:
    """Probes that come back while samples are handed over take none of those away."""
    kernel = Kernel()
    reader = Samples(kernel.tunnels, kernel.samples)
    for _ in range(waiting):
        kernel.back(1)
    found = []
    for columns in reader.drain():
        found.append(int(columns.sequence[0]))
        for _ in range(pace):
            kernel.back(1)
    assert found == list(range(waiting))
    assert reader.missed.tolist() == [0] * ROWS


def test_what_is_overwritten_while_it_is_copied_makes_an_outage() -> None:
    """Half a sample is never handed over; the gap is as long as that of who comes too late."""
    kernel = Kernel()

    class Overtaken(Samples):
        """The kernel writes some more between any two looks at how far it has come."""

        def _returned(self) -> npt.NDArray[np.int64]:
            found = super()._returned()
            for _ in range(3):
                kernel.back(0)
            return found

    reader = Overtaken(kernel.tunnels, kernel.samples)
    for _ in range(SAMPLES):
        kernel.back(0)
    seen = [int(columns.sequence[0]) for columns in reader.drain()]
    assert seen == list(range(3 + AFTER_OVERRUN, SAMPLES))
    assert reader.missed.tolist() == [3 + AFTER_OVERRUN, 0, 0]
    assert AFTER_OVERRUN > OUTAGE_PROBES


def test_what_is_being_written_is_left_out() -> None:
    """A place that is not done is never handed over; the next one is."""
    kernel = Kernel()
    reader = Samples(kernel.tunnels, kernel.samples)
    kernel.back(0, ready=False)
    kernel.back(0)
    assert [int(columns.sequence[0]) for columns in reader.drain()] == [1]
    assert reader.missed.tolist() == [1, 0, 0]


def test_a_new_reader_begins_now() -> None:
    """What came before an agent started is not news."""
    kernel = Kernel()
    kernel.back(0)
    assert list(Samples(kernel.tunnels, kernel.samples).drain()) == []


def test_told_pairs_are_taken_apart() -> None:
    """Both halves of each word come out, as plain counts."""
    kernel = Kernel()
    kernel.probing["told_ns"] = [5, 6, 7]
    kernel.probing["out_probes"] = (2**32 - 1) << 32 | 3
    kernel.probing["out_data"], kernel.probing["in_data"] = 7 << 32 | 6, 9 << 32 | 8
    kernel.probing["out_large"], kernel.probing["peer_drains"] = 4 << 32 | 2, 0x40
    told = probing.told(kernel.tunnels, np.array([2]))
    assert [int(field[0]) for field in told] == [7, 2**32 - 1, 3, 7, 6, 9, 8, 4, 2, 0x40]


@given(
    now_ns=st.integers(0, 2**60),
    interval_ns=st.lists(st.integers(0, SECOND), min_size=ROWS, max_size=ROWS),
    phase_ns=st.lists(st.integers(0, 2**40), min_size=ROWS, max_size=ROWS),
)
def test_schedules_keep_their_phase(
    now_ns: int, interval_ns: list[int], phase_ns: list[int]
) -> None:
    """Each row is due within an interval, on its grid; an interval of zero is never."""
    slots: Records = np.zeros(ROWS, dtype=probing.SCHEDULE)
    probing.schedule(slots, np.arange(ROWS), array(interval_ns), array(phase_ns), now_ns)
    for slot, interval, phase in zip(slots, interval_ns, phase_ns, strict=True):
        assert slot["interval_ns"] == interval
        if interval:
            assert now_ns <= slot["due_ns"] < now_ns + interval
            assert (int(slot["due_ns"]) - phase) % interval == 0


def array(values: list[int]) -> npt.NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize("name", sorted(probing.STRUCTS))
def test_every_field_is_claimed(name: str) -> None:
    """The C of the claims speaks of each size and offset of each record."""
    dtype, text = probing.STRUCTS[name], probing.assertions()
    assert f"sizeof(struct {name}) == {dtype.itemsize}" in text
    assert all(f"offsetof(struct {name}, {field})" in text for field in dtype.names or ())
