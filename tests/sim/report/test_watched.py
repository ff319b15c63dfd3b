"""Of the watched tunnels those that a fault disturbed are found."""

from typing import Any

from patronus.engine.units import MS, SECOND
from patronus.sim.report.watched import Watched, watch
from patronus.sim.run import HEALTH
from tests.sim.synthetic import frame


def seen(**tunnels: list[dict[str, Any]]) -> Watched:
    rows = [
        {"t_ns": second * SECOND, "peer": peer, **row}
        for peer, seconds in tunnels.items()
        for second, row in enumerate(seconds)
    ]
    return watch(frame(HEALTH, rows))


CALM: list[dict[str, Any]] = [{}] * 4
DEAD: list[dict[str, Any]] = [{}, {}, {"state": "Down", "rtt_ns": -1, "loss_ppm": -1}, {}]
LOSSY: list[dict[str, Any]] = [{}, {}, {"loss_ppm": 30_000}, {}]
SLOW: list[dict[str, Any]] = [{}, {}, {"rtt_ns": 90 * MS}, {}]
NOISY: list[dict[str, Any]] = [{}, {}, {"rtt_ns": 43 * MS, "loss_ppm": 900}, {}]


def names(watched: Watched, noticed: list[tuple[str, str, str]]) -> list[str]:
    before, during = watched.rows(0, 2 * SECOND), watched.rows(2 * SECOND, 4 * SECOND)
    return [watched.tunnels[i][1] for i in watched.disturbed(before, during, noticed)]


def test_only_disturbed_tunnels_are_shown_the_worst_first() -> None:
    """Silence ranks before loss and loss before delay; calm and merely noisy ones are left out."""
    watched = seen(calm=CALM, slow=SLOW, noisy=NOISY, lossy=LOSSY, dead=DEAD)
    assert names(watched, []) == ["dead", "lossy", "slow"]


def test_a_tunnel_that_was_not_watched_before_is_compared_with_itself() -> None:
    """Appearing in the table is no disturbance; changing after the first row is one."""
    watched = seen(calm=CALM, slow=SLOW)
    before, during = watched.rows(0, 0), watched.rows(0, 4 * SECOND)
    assert [watched.tunnels[i][1] for i in watched.disturbed(before, during, [])] == ["slow"]


def test_who_noticed_comes_first() -> None:
    """A tunnel with a detection is shown even if its seconds look calm; strangers are ignored."""
    watched = seen(calm=CALM, dead=DEAD)
    noticed = [("berlin", "calm", "mpls"), ("nowhere", "calm", "mpls")]
    assert names(watched, noticed) == ["calm", "dead"]


def test_a_glimpse_holds_one_tunnel_in_order_of_time() -> None:
    """The rows of one tunnel are cut out of the frame as they were, states in lower case."""
    watched = seen(dead=DEAD, calm=CALM)
    glimpse = watched.glimpse(watched.number["berlin", "dead", "mpls"], watched.rows(0, 9 * SECOND))
    assert glimpse.t_ns.tolist() == [0, SECOND, 2 * SECOND, 3 * SECOND]
    assert glimpse.state == ["up", "up", "down", "up"]
    assert glimpse.rtt_ns.tolist()[2] == -1


def test_rows_end_before_their_end() -> None:
    """A stretch of time includes its beginning and not its end."""
    watched = seen(calm=CALM)
    assert watched.t_ns[watched.rows(SECOND, 3 * SECOND)].tolist() == [SECOND, 2 * SECOND]
