"""The page about the language: its examples load, and no key is missing."""

import re
from pathlib import Path

import pytest

from patronus.sim.language import parse, schema
from patronus.sim.language.profiles import SHIPPED
from tests.rules.tree import ROOT
from tests.sim.language.test_mistakes import completed

PAGE = (ROOT / "docs" / "scenario-language.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
BASE = "version: 1\ntopology: {sites: 4, hubs: 1}\ntransports: [mpls, lte]\n"


@pytest.mark.parametrize("block", BLOCKS)
def test_the_examples_load(block: str, tmp_path: Path) -> None:
    """Every example, completed by what it is not about, is a scenario."""
    (tmp_path / "base.patronus.yml").write_text(BASE, encoding="utf-8")
    text = block if "extends" in block else completed("an example", block)
    assert parse(text, str(tmp_path / "x.patronus.yml")).transports


def test_there_are_examples() -> None:
    """Each part of the language has an example."""
    assert len(BLOCKS) == 8


def test_every_key_is_on_the_page() -> None:
    """A key that the schema offers is told on the page, in its table, text or example."""
    records = [schema(), *schema()["$defs"].values()]
    keys = {key for record in records for key in record["properties"]}
    assert [
        key for key in sorted(keys) if not re.search(rf"(?<!\w){re.escape(key)}(?!\w)", PAGE)
    ] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_the_table_of_profiles_is_right(name: str) -> None:
    """The page's table shows the figures of the code."""
    profile = SHIPPED[name]
    up, burst = profile.up, profile.up.burst
    bursts = (
        "–"
        if burst is None
        else (
            f"{burst.gap_ns // 10**9} s, {burst.length_ns // 10**6} ms, {burst.loss_ppm // 10**4} %"
        )
    )
    rates = f"{up.rate_bps // 10**6}, {profile.down.rate_bps // 10**6} Mbit/s"
    row = (
        f"| `{name}` | {up.delay_ns // 10**6} ms | {up.jitter_ns // 10**6} ms | {up.loss_ppm} ppm "
        f"| {bursts} | {rates} | {profile.liveness} | {profile.provider} |"
    )
    assert row in PAGE
