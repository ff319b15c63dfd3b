"""Every mistake names its place, what was expected and what to write instead."""

from pathlib import Path

import pytest

from patronus.sim.language import Mistake, ScenarioError, describe, parse

GOLDEN = Path(__file__).parent / "mistakes.golden"
"""Cases as ``=== name``, the file, ``~~~``, what is printed. A good read on its own."""

REST = {
    "version": "version: 1\n",
    "topology": "topology: {sites: 4}\n",
    "transports": "transports: [mpls]\n",
}
"""Appended where a case does not say it, unless the case is about its absence."""

WHOLE = frozenset({"comments alone", "a list at the top", "text at the top", "no version"})


def golden_cases() -> list[tuple[str, str, str]]:
    """Return (name, file, printed) of each case."""
    blocks = GOLDEN.read_text(encoding="utf-8").removesuffix("\n").split("=== ")[1:]
    cases = []
    for block in blocks:
        name, _, rest = block.partition("\n")
        body, _, printed = rest.partition("~~~\n")
        cases.append((name, body, printed.strip("\n")))
    return cases


def completed(name: str, body: str) -> str:
    """Return a case's file with what every scenario needs."""
    keys = {line.partition(":")[0] for line in body.splitlines()}
    missing = "" if name in WHOLE else "".join(REST[key] for key in REST if key not in keys)
    return body + missing


def mistakes_of(text: str, **more: tuple[str, ...]) -> tuple[Mistake, ...]:
    """Return the mistakes of a text that must have some."""
    with pytest.raises(ScenarioError) as caught:
        parse(text, "x.patronus.yml", **more)
    return caught.value.mistakes


@pytest.mark.parametrize(("name", "body", "printed"), golden_cases())
def test_a_mistake_is_told_as_agreed(name: str, body: str, printed: str) -> None:
    """What is printed for a mistaken file is what the golden page shows."""
    assert describe(mistakes_of(completed(name, body))) == printed


def test_there_are_enough_golden_mistakes() -> None:
    """The page holds what issue and design ask for, each case once."""
    names = [name for name, _, _ in golden_cases()]
    assert len(names) >= 80
    assert len(names) == len(set(names))


SHORT = "version: 1\ntransports: [mpls]\n"


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        (SHORT + "topology: {map: abilen}\n", (3, 17), "abilen"),
        (SHORT + "topology: {map: abilene, sites: 5000}\n", (3, 17), "5000"),
        (
            "version: 1\ntopology: {sites: 3}\ntransports: {mpls: {provider: rign}}\n",
            (3, 31),
            "rign",
        ),
        (SHORT + "topology: {sites: 3}\nexpect:\n  - failover.p99 < 300\n", (5, 20), "300"),
        (SHORT + "topology: {sites: 3}\nexpect: ['loops = 0']\n", (4, 17), "="),
        (SHORT + "topology: {sites: 3}\nexpect: [class.vioce.loss < 1%]\n", (4, 10), "vioce"),
    ],
)
def test_what_other_modules_refuse_has_a_place_too(
    text: str, place: tuple[int, int], word: str
) -> None:
    """Unknown maps, carriers and expectations are mistakes at the value that names them."""
    (mistake,) = mistakes_of(text)
    assert (mistake.line, mistake.column) == place
    assert word in mistake.what
    assert mistake.expected


def test_all_mistakes_come_together() -> None:
    """Structure, names, times and expectations of one file are all reported, in order."""
    found = mistakes_of(
        "version: 1\nname: two words\ntopology: {sites: 3, hub: 1}\ntransports: [mpls]\n"
        "faults:\n  - {kind: loss, at: 90s, on: {site: site9}}\nexpect: [failover.p99]\n"
    )
    assert [m.line for m in found] == [2, 3, 6, 6, 6, 7]


def test_a_broken_value_causes_no_second_mistake() -> None:
    """Names are not checked against a list of sites that could not be read."""
    (mistake,) = mistakes_of(
        "version: 1\ntopology: {sites: [a, b c]}\ntransports: [mpls]\n"
        "faults:\n  - {kind: blackhole, at: 3s, on: {site: d}}\n"
    )
    assert (mistake.line, mistake.column) == (2, 23)


def test_a_mistake_can_be_read_by_machines() -> None:
    """The fields of a mistake are plain values."""
    (mistake,) = mistakes_of("version: 1\ntopology: {sites: 3}\ntransports: [mlps]\n")
    assert mistake == Mistake(
        "x.patronus.yml", 3, 14, "unknown shipped profile `mlps`",
        "a shipped profile: mpls, broadband, lte, satellite", "did you mean `mpls`?",
    )  # fmt: skip


def test_a_file_cannot_steer_the_terminal() -> None:
    """Control characters of a file are not printed."""
    (mistake,) = mistakes_of('version: 1\ntopology: {sites: 3}\ntransports: ["\x9b31mred"]\n')
    assert "\x9b" not in describe([mistake])


def test_a_control_character_has_a_place() -> None:
    """A character that no YAML may hold is found by line and column."""
    (mistake,) = mistakes_of('version: 1\nname: "a\x07"\n')
    assert (mistake.line, mistake.column) == (2, 9)
    assert "x0007" in mistake.what


def test_a_folded_expectation_is_marked_as_a_whole() -> None:
    """Where a place within a text cannot be told, the text is marked."""
    (mistake,) = mistakes_of(
        "version: 1\ntopology: {sites: 3}\ntransports: [mpls]\nexpect:\n"
        "  - failover.p99\n    < 300\n"
    )
    assert (mistake.line, mistake.column) == (5, 5)


@pytest.mark.parametrize("broken", ["sites: [a, b c]", "sites: 4, hubs: few", "map: nowhere"])
def test_names_are_not_checked_against_what_is_broken(broken: str) -> None:
    """Expectations, faults and traffic may name anything while the names are not known."""
    (mistake,) = mistakes_of(
        f"version: 1\ntopology: {{{broken}}}\ntransports: [mpls]\n"
        "policy: {classes: {a: {}}}\n"
        "traffic: [{class: a, from: x, to: y, rate: 1Mbps}]\n"
        "expect: [failover.p99 < 1s for site=x]\n"
    )
    assert mistake.line == 2


def test_expectations_of_broken_parts_are_not_checked() -> None:
    """A fault or class that could not be read may be meant by an expectation."""
    found = mistakes_of(
        "version: 1\ntopology: {sites: 3}\ntransports: [mpls]\n"
        "policy: {classes: 3}\n"
        "faults: [{kind: blackhol, at: 3s, on: {site: site1}}]\n"
        "expect: [failover.p99 < 1s for class=a fault=b]\n"
    )
    assert [mistake.line for mistake in found] == [4, 5]


def test_a_mistake_may_stand_alone() -> None:
    """A mistake made without place or advice is printed in one line."""
    assert describe([Mistake("x", 0, 0, "it is wrong")]) == "x: it is wrong"


def test_a_long_line_is_shown_in_part() -> None:
    """Of a very long line only the part around the mistake is printed."""
    sites = ", ".join(f"site-{n}" for n in range(500))
    found = mistakes_of(f"version: 1\ntopology: {{sites: [{sites}, site 3]}}\ntransports: [mpls]\n")
    line, caret = describe(found).splitlines()[1:3]
    assert len(line) < 120
    assert line[caret.index("^") :].startswith("site 3")


def test_many_mistakes_are_counted_not_shown() -> None:
    """A thousand equal mistakes do not fill the terminal."""
    sites = ", ".join(["site 3"] * 1000)
    found = mistakes_of(f"version: 1\ntopology: {{sites: [{sites}]}}\ntransports: [mpls]\n")
    assert len(found) == 1000
    assert describe(found).endswith("… and 980 more")
