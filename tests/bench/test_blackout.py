"""Loss takes tunnels down as often as predicted; the prediction obeys the packet-time rule."""

from pathlib import Path

import numpy as np
import pytest

from patronus.dataplane.linux.records import Kind
from patronus.engine import fastpath
from patronus.engine.fastpath import Packet, Tunnel
from patronus.engine.units import MS, NEVER, SECOND
from tests.bench.blackout import cables, lossy
from tests.bench.carriers import carried
from tests.bench.chain import downs_per_interval
from tests.bench.falsedowns import FINE_NS, Play, Setting, ladder_of, play
from tests.bench.lossy import Loss

SLACK = 10 * MS
"""Of the detect time: probes may be so late without consequence, as other tests run meanwhile."""
INTERVAL = 20 * MS
BURSTS = Loss("bursts", 0.05, 3)


@pytest.mark.root
def test_loss_takes_tunnels_down_no_oftener_than_predicted(pytestconfig: pytest.Config) -> None:
    """The short form: some tunnels for two seconds, with bursts that would be a bad cable's."""
    assert pytestconfig.cache is not None
    cache = Path(pytestconfig.cache.mkdir("bpf"))
    detect_ns = 3 * INTERVAL + SLACK
    with (
        carried(Kind.PLAIN, "st-loss", cache, rows=64, detect_ns=detect_ns) as found,
        cables(found, cache) as both,
    ):
        for end in found.pair.ends:
            end.pace(INTERVAL)
        taken = lossy(found.pair, both, BURSTS, 3, detect_ns, 2)
    assert 0.03 < taken.lost < 0.07
    played = play(taken.setting(INTERVAL, SLACK), tunnels=1000, seconds=10)
    exposed_s = taken.tunnels * taken.seconds
    assert 0 < taken.downs <= played.at_most(exposed_s, 0.9999), (taken, played)


@pytest.mark.parametrize("seed", range(3))
def test_the_play_obeys_the_packet_time_rule(seed: int) -> None:
    """One tunnel under heavy loss goes down exactly when the engine's reference says so."""
    given = Setting(Loss("heavy", 0.4, 3), 10 * MS, 31 * MS, np.array([5.0, 3.0, 0.0, 1.0]))
    played = Play(given, 1, np.random.default_rng(seed))
    played.play(2000)
    assert played.downs.tolist() == by_reference(given, 2000, np.random.default_rng(seed))
    assert played.downs.min() > 100


def test_the_chain_is_the_play_without_its_noise() -> None:
    """Where no probe is late, both predict the same number of downs."""
    loss = Loss("bursts", 0.05, 2)
    played = play(Setting(loss, INTERVAL, 3 * INTERVAL + MS), tunnels=1000, seconds=10)
    exact = downs_per_interval(loss, 3) * played.seconds / (INTERVAL / SECOND)
    assert played.downs == pytest.approx(exact, abs=5 * (played.cluster * exact) ** 0.5)
    assert exact > 1000


def by_reference(given: Setting, intervals: int, draw: np.random.Generator) -> list[int]:
    """Return the downs of both ends of one tunnel, from the same luck by the plain rule."""
    ends = [Tunnel(given.detect_ns, heard_ns=0, confirmed_ns=0, since_ns=0)] * 2
    downs, numbers, bad = [0, 0], [0, 0], [False, False]
    ladder = ladder_of(given.late)

    def passes(at: int, *, sent: bool) -> bool:
        lost = bool(draw.random(1)[0] < (given.loss.stay if bad[at] else given.loss.enter))
        bad[at] = lost if sent else bad[at]
        return sent and not lost

    def receive(at: int, now_ns: int, *, hears: bool, reflection: bool) -> None:
        numbers[at] += 1
        before = ends[at]
        ends[at] = fastpath.arrive(before, Packet(numbers[at], hears, reflection), now_ns)
        downs[at] += before.since_ns not in {NEVER, ends[at].since_ns}

    for number in range(intervals):
        late = ladder[draw.integers(0, len(ladder), 2)] * FINE_NS + draw.integers(0, FINE_NS, 2)
        for sender in (0, 1) if late[0] <= late[1] else (1, 0):
            now_ns = number * given.interval_ns + int(late[sender])
            hears = fastpath.hears(ends[sender], now_ns)
            came = passes(sender, sent=True)
            if came:
                receive(1 - sender, now_ns, hears=hears, reflection=False)
            if passes(1 - sender, sent=came):
                receive(sender, now_ns, hears=True, reflection=True)
    return downs
