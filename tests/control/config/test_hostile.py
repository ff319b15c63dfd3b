"""Whatever the file holds, it is a configuration or a list of mistakes."""

from hypothesis import example, given
from hypothesis import strategies as st

from patronus.control.config import AgentConfig, ConfigError, parse
from patronus.control.config.layout import layout
from tests.control.config.files import EXAMPLE, SMALL

ODD = st.sampled_from(
    [
        "", "~", "[]", "{}", "[[]]", "{a: {}}", "off", "0", "-1", "1e9", "9" * 30, ".inf", "all",
        "mpls", "lte", "hub", "rome", "eth0", "10.0.0.0/33", "::", "[::]:1", "x" * 300,
        "\U0001f600",
        '"\\0"', "- a", "a: b", "learned", "dhcp", "true", "{address: }", "{address: learned}",
        "[{name: }]", "{sites: [], prefixes: []}",
    ]
)  # fmt: skip


def survives(text: str) -> AgentConfig | None:
    """Read a text; return the configuration if it is one."""
    try:
        found = parse(text)
    except ConfigError as error:
        mistakes = error.mistakes
        found = None
    if found is None:
        assert all(mistake.what for mistake in mistakes)
        assert mistakes
        return None
    assert layout(found).overlay.deciding == 1
    return found


@given(st.sampled_from([SMALL, EXAMPLE]), st.data())
def test_a_value_in_place_of_another(base: str, data: st.DataObject) -> None:
    """Each value may be replaced by anything: nothing crashes, and what is left can be laid out."""
    lines = base.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    key, colon, _ = lines[at].partition(":")
    lines[at] = f"{key}{colon} {data.draw(ODD)}"
    survives("\n".join(lines))


@given(st.sampled_from([SMALL, EXAMPLE]), st.data())
def test_words_in_place_of_others(base: str, data: st.DataObject) -> None:
    """So may each word within a line, several at a time."""
    words = base.split(" ")
    for at in data.draw(st.lists(st.integers(0, len(words) - 1), max_size=4)):
        words[at] = data.draw(ODD) + ("\n" if "\n" in words[at] else "")
    survives(" ".join(words))


@given(st.text(max_size=200))
@example("version: 1\nsite: a\ntransports: {}\nlan: {interfaces: a}\n")
def test_any_text(text: str) -> None:
    """Text that was never meant as a configuration is refused."""
    survives(text)
