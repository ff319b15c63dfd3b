"""Some hand-overs of the bench, once each: nothing is lost, and what took over is in use."""

import json
import signal
from collections.abc import Iterator

import pytest

from patronus.engine.units import MS
from tests.bench.deaths import death
from tests.bench.handover import Ends, check_keys, ends, generations
from tests.control.command import patronus

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def found(pytestconfig: pytest.Config) -> Iterator[Ends]:
    """Return two sites with WireGuard tunnels."""
    assert pytestconfig.cache is not None
    with ends("wireguard", pytestconfig.cache.mkdir("bpf")) as made:
        yield made


def test_a_restart_loses_nothing(found: Ends) -> None:
    """The kernel forwards while no agent runs."""
    loss = found.under(found.restart)
    assert loss.lost == 0, loss
    assert loss.sent > 100


def test_another_policy_loses_nothing(found: Ends) -> None:
    """The engine goes on, and the agent with it: it answers after the next look at everything."""
    loss = found.under(found.reload_policy)
    assert loss.lost == 0, loss
    before = found.oslo.show("health")["jobs"]["reconcile"]["spent_ns"]
    loss = found.under(lambda: found.looked_again(before))
    assert loss.lost == 0, loss


@pytest.mark.slow  # other programs are compiled, under two streams
def test_another_layout_of_the_maps_loses_nothing(found: Ends) -> None:
    """New maps take over from the old ones under the stream, there and back."""
    before = found.oslo.show("counters")["outcomes"]["steer_primary"]
    for _ in range(2):
        loss = found.under(found.upgrade_layout)
        assert loss.lost == 0, loss
    assert found.oslo.show("counters")["outcomes"]["steer_primary"] > before + 200


def test_new_keys_at_both_ends_lose_nothing(found: Ends) -> None:
    """Each end has one key in the end, which is another one, in a file for itself alone."""
    before = {site.name: generations(site) for site in (found.oslo, found.hub)}
    loss = found.under(found.rotate_both)
    assert loss.lost == 0, loss
    for site in (found.oslo, found.hub):
        assert generations(site) == [number + 1 for number in before[site.name]]
        check_keys(site)


def test_a_kill_amid_a_rotation_loses_nothing(found: Ends) -> None:
    """The agent that starts goes on where the other one was, to one key at each end."""
    loss = found.under(found.rotate_killed)
    assert loss.lost == 0, loss


def test_traffic_leaves_a_device_whose_process_is_killed(found: Ends) -> None:
    """It goes on over the other wan within a short gap, and the device is made anew."""
    gap_ns, back_s = death(found, signal.SIGKILL)
    # The bars are the bench's to hold: here other tests share the processors.
    assert gap_ns < 500 * MS
    assert back_s < 10


def test_the_command_tells_how_it_ends(found: Ends) -> None:
    """It waits where it is told to; refusals are one line, and end with 2."""
    here = ("--config", found.oslo.config)
    done = patronus("agent", "rotate", "blue", "--wait", "60s", "--json", *here)
    assert done.exit_code == 0, done.stderr
    (key,) = json.loads(done.stdout)
    assert (key["transport"], key["phase"], key["pending"]) == ("blue", "idle", [])
    table = patronus("agent", "show", "keys", *here).stdout.splitlines()
    assert table[0].split()[:3] == ["transport", "generation", "age"]
    assert [line.split()[:2] for line in table[1:]] == [
        [k["transport"], str(k["generation"])] for k in found.oslo.show("keys")
    ]
    refused = patronus("agent", "rotate", "green", *here)
    assert refused.exit_code == 2
    assert "no transport green with WireGuard tunnels; there is blue, red" in refused.stderr
    late = patronus("agent", "rotate", "red", "--wait", "1ms", *here)
    assert late.exit_code == 3, late.stdout
    again = patronus("agent", "rotate", "red", *here)
    assert again.exit_code == 2
    assert "the key of red is being replaced already" in again.stderr
