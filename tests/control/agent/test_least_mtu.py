"""A path that drops large packets is left by the class alone that cannot live with smaller ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.blackhole import LIMIT, Hole
from tests.control.agent.fleet import Fleet, running, until

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def needy(cache: Path, tmp_path: Path) -> Iterator[Fleet]:
    """Return two sites with two classes, one of which needs large packets."""

    def change(text: dict[str, Any]) -> None:
        large = {"match": {"dscp": "af11"}, "sla": {"mtu": LIMIT}}
        text["classes"] = {"large": large, "rest": {}}

    with running(tmp_path, cache, change) as fleet:
        yield fleet


def test_the_first_response_is_a_lower_mtu(needy: Fleet) -> None:
    """The tunnel's MTU falls, one class goes elsewhere, and the other one stays."""
    oslo = needy["oslo"]

    def paths() -> dict[str, str]:
        return {p["class"]: p["path"].partition(">")[0] for p in oslo.show("paths")}

    until(lambda: paths() == {"large": "blue", "rest": "blue"})
    until(lambda: oslo.tunnel("blue>hub")["path_mtu_state"] == "search_complete", 30)
    with Hole(needy.bridges["blue"], "to-oslo").open():
        until(lambda: oslo.tunnel("blue>hub")["mtu"] < LIMIT, 30)
        until(lambda: paths() == {"large": "red", "rest": "blue"})
        told = oslo.call("why", needy["hub"].site, "--class", "large").stdout
    assert "mtu lowered" in told
