"""Whatever a file holds, loading it gives a scenario or a ``ScenarioError``."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patronus.sim.language import ScenarioError, describe, load, parse
from patronus.sim.scenario import Scenario

EXAMPLES = Path(__file__).parent / "examples"
EVERYTHING = (EXAMPLES / "everything.patronus.yml").read_text(encoding="utf-8")

TOKENS = st.sampled_from(
    ["version: 1", "\n", "  ", "- ", "{", "}", "[", "]", ": ", " #", "'", '"', "|", ">", "&a", "*a",
     "!!x", "? ", "%YAML 1.1", "---", "...", "\t", "topology", "sites", "faults", "kind", "30s",
     "\\", '"\\U', '"\\ud800"', "@", "`", "~", "null", "0x1", "-5ms", ".nan", "\u2028", "\x85",
     "\ufeff", "\0", "\x07", ",", "mpls", "<<: ", "extends: x", "policy: p.yml", "sites.csv", "!",
     "!<", "%TAG ! x", "\r", "|2+", "1e400", "\U0001f600", "all", "9" * 30]
)  # fmt: skip

SHORTER = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def outcome(read: Callable[[], Scenario]) -> Scenario | str:
    """Return a scenario or the description of its mistakes; anything else is a bug."""
    try:
        return read()
    except ScenarioError as error:
        return describe([mistake for mistake in error.mistakes if mistake.what])


def parsed(text: str, changes: tuple[str, ...] = ()) -> Scenario | str:
    """Return what becomes of a text."""
    return outcome(lambda: parse(text, str(EXAMPLES / "x.patronus.yml"), changes))


@given(st.binary(max_size=200))
@SHORTER
def test_random_bytes_are_refused(tmp_path: Path, data: bytes) -> None:
    """Bytes are no scenario, and say so."""
    path = tmp_path / "x.patronus.yml"
    path.write_bytes(data)
    with pytest.raises(ScenarioError):
        load(path)


@given(st.lists(TOKENS, max_size=25).map("".join))
def test_rubbish_made_of_yaml_is_refused(text: str) -> None:
    """Tokens of the language in any order never crash the reader."""
    assert isinstance(parsed(text), str)


@given(st.data())
@SHORTER
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    """A good file with a few tokens put in and a few characters lost never crashes the reader."""
    text = EVERYTHING
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        lost = data.draw(st.integers(0, 8))
        text = text[:at] + data.draw(TOKENS) + text[at + lost :]
    assert parsed(text)


@given(st.text(max_size=30), st.lists(TOKENS, max_size=8).map("".join))
def test_random_settings_are_applied_or_refused(path: str, value: str) -> None:
    """No setting crashes the reader, whatever its path and value."""
    text = "version: 1\ntopology: {sites: 3}\ntransports: [mpls]\n"
    assert parsed(text, (path, f"{path}={value}", f"topology.sites={value}"))


@given(st.text('name,lat;on\t"\n#0123.-é ', max_size=80))
@SHORTER
def test_random_tables_are_read_or_refused(tmp_path: Path, text: str) -> None:
    """No table of sites or delays crashes the reader."""
    (tmp_path / "sites.csv").write_text("name,lat,lon\n" + text, encoding="utf-8")
    (tmp_path / "rtt.csv").write_text(text, encoding="utf-8")
    path = tmp_path / "x.patronus.yml"
    path.write_text(
        "version: 1\ntopology: {sites: sites.csv, delays: rtt.csv}\ntransports: [mpls]\n",
        encoding="utf-8",
    )
    assert outcome(lambda: load(path))
