"""An agent's file for tests, and changes of it."""

import re

from patronus.control.config import AgentConfig, ConfigError, parse
from tests.rules.tree import ROOT

PAGE = (ROOT / "docs" / "agent-config.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

KEYS = tuple(f"{letter * 42}A=" for letter in "ABCDEFGH")
"""Public keys, each another."""

SMALL = f"""\
version: 1
site: rome
state: nowhere
transports:
  mpls: {{interface: eth0, kind: plain}}
  lte: {{interface: eth1}}
lan: {{interfaces: eth2, prefixes: 10.1.0.0/16}}
peers:
  hub:
    key: {KEYS[0]}
    role: hub
    endpoints: {{mpls: 192.0.2.1, lte: learned}}
  oslo: {{key: {KEYS[1]}, endpoints: {{mpls: 192.0.2.2}}, prefixes: 10.2.0.0/16}}
"""


def changed(*changes: tuple[str, str], text: str = SMALL) -> str:
    """Return the text with parts replaced, each of which stands there once."""
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def config(*changes: tuple[str, str], text: str = SMALL) -> AgentConfig:
    """Return the configuration of a changed text."""
    return parse(changed(*changes, text=text))


def told(text: str) -> list[str]:
    """Return what is wrong with a text: ``line: what; expected; suggestion``, in order."""
    try:
        parse(text)
    except ConfigError as error:
        return [f"{m.line}: {m.what}; {m.expected}; {m.suggestion}" for m in error.mistakes]
    return []
