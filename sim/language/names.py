"""Shapes of names: those that define something and those that mention it."""

from typing import Final

from patronus.sim.language.shapes import ListOf
from patronus.sim.language.values import Value, mention, text

_LETTER: Final = r"[^\s\x00-\x1f\x7f:>,*?\[\]#/\\]"
"""Anything but blanks and the marks that path and link names use."""

WORDS: Final = ("all", "hubs", "spokes")
"""Words for sets of sites; no site, destination or group may be called so."""

NAME: Final = text(
    r"a name without blanks and : > , * ? [ ] # / \ (and not all, hubs or spokes)",
    rf"^(?!(?:{'|'.join(WORDS)})$){_LETTER}{{1,64}}$",
    "berlin",
)
SHORT: Final = text(
    "a short name of letters, digits, - and _", r"^[A-Za-z][A-Za-z0-9_-]{0,31}$", "voice"
)
PROSE: Final = text("text", r"^[^\x00-\x08\x0b-\x1f\x7f]{1,2000}$")
_PATTERN: Final = r"^[^\s\x00-\x1f\x7f:>,#/\\]{1,64}$"


def _some(item: Value, plural: str) -> ListOf:
    return ListOf(item, f"{item.about}, or a list of {plural}", least=1, single=True)


SITE: Final = mention("site", text("the name of a site", NAME.json["pattern"], "berlin"))
SITES: Final = _some(
    mention("sites", text("a site's name, a pattern (spoke*), all, hubs or spokes", _PATTERN)),
    "them",
)
TARGETS: Final = _some(
    mention("target", text("a destination's or site's name, a pattern, all, hubs or spokes",
                           _PATTERN)),
    "them",
)  # fmt: skip
TRANSPORT: Final = mention(
    "transport", text("the name of a transport", SHORT.json["pattern"], "mpls")
)
TRANSPORTS: Final = _some(TRANSPORT, "them")
CLASS: Final = mention("class", text("the name of a class", SHORT.json["pattern"], "voice"))
GROUPS: Final = _some(
    mention("group", text("the name of a group", NAME.json["pattern"], "conduit-7")), "them"
)
_LINK: Final = r"^(access:[^:]+:[^:]+|(?!access:)[^:]+:.+|[^:]*\*[^:]*)$"
LINKS: Final = _some(
    mention("link", text("a link, access:SITE:TRANSPORT or TRANSPORT:NODE-NODE, or a pattern",
                         _LINK, "access:berlin:mpls")),
    "them",
)  # fmt: skip
EXPECTATION: Final = mention(
    "expectation", text("an expectation", r"^[^\x00-\x1f\x7f]{1,500}$", "failover.p99 < 300ms")
)
