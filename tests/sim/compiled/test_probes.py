"""Each pass over probes does what plain words say, row by row."""

from types import ModuleType

import numpy as np
import pytest

from patronus.engine.delayshift import LEVEL
from patronus.engine.meters import Meters
from patronus.engine.overlay import I64
from patronus.engine.policy import Policy, TrafficClass
from patronus.engine.units import LONG_AGO, MS, NEVER, PPM
from patronus.sim import luck as draw
from patronus.sim.compiled import probes
from patronus.sim.passage import Sky
from tests.sim.compiled.interpreted import Holds, fails, interpreted

ROWS = 24


def drawn(seed: int) -> np.random.Generator:
    """Return luck for one example."""
    return np.random.default_rng(seed)


class Air:
    """Rows of which a wire would know: luck, delays and losses, and what flew before."""

    def __init__(self, seed: int) -> None:
        luck = drawn(seed)
        self.sent_ns = luck.integers(-(10**9), 10**9, ROWS)
        self.keys = luck.integers(0, 2**64, ROWS, dtype=np.uint64)
        self.out, self.home = self.way(luck), self.way(luck)
        self.lively = luck.random(ROWS) < 0.2
        # Close to what arrives next, so that order matters, equality included.
        near = self.sent_ns + self.out[0] + luck.integers(-3, 4, ROWS) * MS // 2
        self.memory = near, near + self.home[0], luck.integers(0, 9, ROWS)
        self.ordinal = int(luck.integers(-50, 50))
        # At the limit itself a packet passes, one below it is lost.
        edge = np.arange(0, ROWS, 4)
        words = draw.words(self.keys[edge], self.ordinal)
        self.out[2][edge] = draw.loss_out(words) + (edge % 8 == 0).astype(np.uint64)
        self.home[2][edge + 1] = draw.loss_back(draw.words(self.keys[edge + 1], self.ordinal))

    @staticmethod
    def way(luck: np.random.Generator) -> tuple[I64, I64, np.ndarray]:
        """Return delays, bounds of jitter and limits of loss."""
        loss = luck.choice([0, 1, PPM // 2, PPM - 1, PPM], ROWS)
        return luck.integers(0, 9, ROWS) * MS, luck.integers(0, 3, ROWS) * MS, draw.threshold(loss)

    def fly(self, passes: ModuleType) -> list[object]:
        """Return everything that a pass returns and changes."""
        memory = tuple(m.copy() for m in self.memory)
        flown = tuple(np.zeros((3, ROWS), dtype=np.int64))
        odd = np.zeros(ROWS, dtype=np.int64)
        step = draw.ordinal_step(self.ordinal)
        sky = Sky(self.keys, self.out, self.home, self.lively)
        told = passes.fly(np.arange(ROWS), self.sent_ns, step, sky, memory, flown, odd)
        return [*map(int, told), *(a.tolist() for a in (*memory, *flown, odd))]


def fly_plainly(sky: Air) -> list[object]:
    """Return the same worked out with the module of luck, probe by probe."""
    from_heard, from_back, count = (m.tolist() for m in sky.memory)
    there, back, heard, odd = ([0] * ROWS for _ in range(4))
    left, lost, last_there, last_back = 0, 0, LONG_AGO, LONG_AGO
    words = draw.words(sky.keys, sky.ordinal)
    for row in range(ROWS):
        if sky.lively[row]:
            odd[left] = row
            left += 1
            continue
        word, t, b = words[row : row + 1], NEVER, NEVER
        bound = sky.out[1][row : row + 1], sky.home[1][row : row + 1]
        if not draw.hit(draw.loss_out(word), sky.out[2][row : row + 1])[0]:
            noise = int(draw.noise_ns(draw.noise_out(word), bound[0])[0])
            t = max(int(sky.sent_ns[row]) + int(sky.out[0][row]) + noise, from_heard[row])
            from_heard[row], last_there = t + 1, max(last_there, t)
            count[row] += 1
            if not draw.hit(draw.loss_back(word), sky.home[2][row : row + 1])[0]:
                noise = int(draw.noise_ns(draw.noise_back(word), bound[1])[0])
                b = max(t + int(sky.home[0][row]) + noise, from_back[row])
                from_back[row], last_back = b + 1, max(last_back, b)
        lost += b == NEVER
        there[row], back[row], heard[row] = t, b, count[row]
    return [
        left,
        lost,
        last_there,
        last_back,
        from_heard,
        from_back,
        count,
        there,
        back,
        heard,
        odd,
    ]


def flies_well(passes: ModuleType, seed: int) -> None:
    """Hold one example of :func:`compiled.fly`."""
    sky = Air(seed)
    assert sky.fly(passes) == fly_plainly(sky)


def stamps_well(passes: ModuleType, seed: int) -> None:
    """Hold one example of :func:`compiled.stamp` and what feeds it, against plain words."""
    luck, end_ns = drawn(seed), 1_000
    confirmed = luck.integers(0, 1_000, ROWS)
    detect = luck.choice([1, 2, 300], ROWS)
    times = np.where(luck.random(ROWS) < 0.2, NEVER, luck.integers(0, 1_100, ROWS))
    times[:4] = [end_ns - 1, end_ns, confirmed[2] + detect[2], confirmed[3] + detect[3] + 1]
    confirmed[4:8], times[4:8] = end_ns - 1 - detect[4:8] - [0, 1, 2, 0], NEVER
    peers = np.where(luck.random(ROWS) < 0.2, NEVER, luck.integers(0, 1_100, ROWS))
    reverse = luck.permutation(ROWS).astype(np.int32)
    silent, odd = luck.random(ROWS) < 0.3, luck.random(ROWS) < 0.1
    peers[reverse[4:8]] = NEVER
    silent[4:8] = odd[4:8] = False
    heard = luck.integers(0, 900, ROWS)
    newest = np.full(ROWS, LONG_AGO, dtype=np.int64)
    passes.raise_newest(newest, times, end_ns)
    passes.raise_newest_by_peer(newest, peers, reverse, end_ns)
    wanted = [
        max((t for t in (times[r], peers[reverse[r]]) if t < end_ns), default=LONG_AGO)
        for r in range(ROWS)
    ]
    assert newest.tolist() == wanted
    again = np.full(ROWS, LONG_AGO, dtype=np.int64)
    every = np.arange(ROWS)
    passes.raise_some(again, (every, peers, times), np.argsort(reverse), (0, end_ns))
    assert again.tolist() == wanted
    new_heard, new_confirmed = heard.copy(), confirmed.copy()
    left = np.zeros((2, ROWS), dtype=np.int64)
    stamps = new_heard, new_confirmed
    many, gone = passes.stamp(every, newest, odd, silent, detect, stamps, end_ns, left)
    assert set(newest.tolist()) == {LONG_AGO}
    strange = [
        r
        for r in range(ROWS)
        if odd[r]
        or wanted[r] - confirmed[r] > detect[r]
        or (silent[r] and wanted[r] > confirmed[r])
    ]
    ordinary = [r for r in range(ROWS) if r not in strange]
    kept = {r: max(wanted[r], confirmed[r]) for r in ordinary}
    assert left[0, :many].tolist() == strange
    assert left[1, :gone].tolist() == [
        r for r in ordinary if not silent[r] and kept[r] + detect[r] + 1 < end_ns
    ]
    assert new_heard.tolist() == [max(h, w) for h, w in zip(heard, wanted, strict=True)]
    assert new_confirmed.tolist() == [kept.get(r, confirmed[r]) for r in range(ROWS)]


POLICY = Policy(classes=(TrafficClass("all"),), liveness={})


def reflections(luck: np.random.Generator, ordinal: int) -> tuple[I64, I64, I64, I64]:
    """Return times sent, reflected and back, and the peer's count, for one probe a row."""
    sent = np.full(ROWS, ordinal * 100 * MS) + luck.integers(0, MS, ROWS)
    step = np.where(luck.random(ROWS) < 0.05, luck.choice([-90, -17, 40], ROWS) * MS, 0)
    if 35 <= ordinal < 50:
        step[: ROWS // 2] += 30 * MS  # raised, and alarmed some samples later
    there = sent + 10 * MS + luck.integers(0, 5 * MS, ROWS)
    back = there + 10 * MS + luck.integers(0, 5 * MS, ROWS) + step
    back[luck.random(ROWS) < 0.06] = NEVER
    return sent, there, back, np.full(ROWS, ordinal + 1)


def state_of(meters: Meters) -> list[list[object]]:
    """Return all that is known; the level of a row without an alarm means nothing."""
    loss, health = meters.brownout.loss, meters.health
    columns = [c.copy() for c in meters.columns]
    columns[3][LEVEL, ~meters.brownout.delay.alarmed] = 0
    more = health.opened, health.habits, health.late, loss._score, loss._since, loss._usual
    alarms = loss.alarmed, loss.estimate_ppm, meters.brownout.delay.alarmed
    return [c.tolist() for c in (*columns, *more, *alarms)]


def observes_well(passes: ModuleType, seed: int) -> None:
    """Hold a history of reflections, taken by a pass and the rest plainly, against plain calls."""
    luck = drawn(seed)
    quick, plain = Meters(ROWS, POLICY), Meters(ROWS, POLICY)
    for ordinal in range(56):
        sent, there, back, count = reflections(luck, ordinal)
        start = ordinal * 100 * MS
        span = start + int(luck.integers(-99, 22)) * MS, start + 100 * MS
        if luck.random() < 0.1:
            told = np.flatnonzero(luck.random(ROWS) < 0.2)
            for meters in (quick, plain):
                meters.report(
                    told, sequence=np.full(len(told), ordinal), heard_count=count[told],
                    at_ns=sent[told],
                )  # fmt: skip
        counted = np.flatnonzero(luck.random(ROWS) < 0.2)
        for meters in (quick, plain):
            packets = np.full(len(counted), 1 + ordinal % 40)
            meters.count(counted, sent=packets, lost=0 * packets, at_ns=sent[counted])
        came = (back >= span[0]) & (back < span[1])
        alarmed = observe(plain, np.arange(ROWS), sent, there, np.where(came, back, NEVER), ordinal)
        odd = np.zeros(ROWS, dtype=np.int64)
        flown = sent, there, back, count, ordinal
        rows = odd[: passes.observe(np.arange(ROWS), flown, span, quick.columns, odd)]
        assert came[rows].all()
        late = observe(quick, rows, sent[rows], there[rows], back[rows], ordinal)
        assert late == alarmed
        assert state_of(quick) == state_of(plain)


def observe(
    meters: Meters, rows: I64, sent: I64, there: I64, back: I64, ordinal: int
) -> list[list[int]]:
    """Let meters take reflections; return the alarms."""
    alarmed = meters.observe(
        rows,
        sent_ns=sent,
        reflected_ns=there,
        arrived_ns=back,
        sequence=np.full(len(rows), ordinal),
        heard_count=np.full(len(rows), ordinal + 1),
    )
    return [alarmed.rows.tolist(), alarmed.at_ns.tolist(), *(f.tolist() for f in alarmed.figures)]


@pytest.mark.parametrize("holds", [flies_well, stamps_well, observes_well])
def test_passes(holds: Holds) -> None:
    """Each pass does what plain words say, on rows at all their limits."""
    for seed in range(20):
        holds(probes, seed)


MUTANTS = (
    (flies_well, "if lively[row]:", "if False:"),
    (flies_well, "(word >> _S44) >= limit[row]", "(word >> _S44) > limit[row]"),
    (flies_well, "& _LOSS_MASK) >= limit_back[row]", "& _LOSS_MASK) > limit_back[row]"),
    (flies_well, "from_heard_ns[row] = there + 1", "from_heard_ns[row] = there"),
    (flies_well, "from_back_ns[row] = back + 1", "from_back_ns[row] = back"),
    (flies_well, "heard_count[row] += 1", "heard_count[row] += 2"),
    (flies_well, "delay_back[row] + noise, from_back_ns[row]", "delay_back[row] + noise, 0"),
    (flies_well, "_noise_ns(word >> _S12, jitter[row])", "_noise_ns(word, jitter[row])"),
    (flies_well, "((word >> _S24) & _LOSS_MASK)", "(word >> _S24)"),
    (stamps_well, "at_ns = times_ns[reverse[place]]\n", "at_ns = times_ns[place]\n"),
    (stamps_well, "newest[row] < at_ns < span[1]", "newest[row] < at_ns <= span[1]"),
    (stamps_well, "np.int64(reverse[row])", "row"),
    (stamps_well, "newest[row] = LONG_AGO", "pass"),
    (stamps_well, "gap > detect_ns[row]", "gap >= detect_ns[row]"),
    (stamps_well, "(silent[row] and gap > 0)", "(silent[row] and gap > 1)"),
    (stamps_well, "if odd[row] or gap", "if gap"),
    (stamps_well, "detect_ns[row] < end_ns - 1", "detect_ns[row] < end_ns"),
    (stamps_well, "if not silent[row] and", "if"),
    (observes_well, "sequence != state[health.NEXT, row]", "sequence < state[health.NEXT, row]"),
    (observes_well, "or ahead[row]\n", "\n"),
    (observes_well, "or due[row] <= 1", "or due[row] <= 0"),
    (observes_well, "or special[row]\n", "\n"),
    (observes_well, "or score >= delayshift.RAISED_WIDTHS * delay[1, row]", ""),
    (observes_well, "or rtt < 0\n", "\n"),
    (observes_well, "max(state[health.JITTER, row], 0)", "state[health.JITTER, row]"),
    (observes_well, "((jitter + 8) >> 4)", "(jitter >> 4)"),
    (observes_well, "young += 1", "pass"),
    (observes_well, "min(rtt - usual + most, 0)", "0"),
    (observes_well, "max(abs(x), jitter >> 4, ", "max(abs(x), "),
    (observes_well, "state[health.UPDATED, row] = arrived", "pass"),
    (observes_well, "due[row] -= 1", "pass"),
)  # fmt: skip


@pytest.mark.parametrize(("holds", "old", "new"), MUTANTS, ids=[m[1][:40] for m in MUTANTS])
def test_mutants(holds: Holds, old: str, new: str) -> None:
    """The properties notice each broken pass, and do not object to the sound one."""
    with np.errstate(over="ignore"):
        holds(interpreted(probes), 0)
        assert any(fails(holds, interpreted(probes, old, new), seed) for seed in range(20))
