"""Declares faults: which kinds there are, and what each kind uses.

The table of kinds (``patronus.sim.faults.kinds``) says for each which objects it can
hit and which quantities it needs. The reader and the JSON Schema both come from
it, so a key that means nothing for a kind is a mistake in both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from patronus.sim.faults.kinds import KINDS
from patronus.sim.language import names
from patronus.sim.language.mistakes import one_of
from patronus.sim.language.network import BURST, MTU
from patronus.sim.language.policy import POLICY_OR_FILE
from patronus.sim.language.quantities import DURATION, JUMP, PERIOD, RATE, SOME, shown, worded
from patronus.sim.language.records import Field, Rec, Record
from patronus.sim.language.shapes import Either, Json, Reading
from patronus.sim.language.tree import Node
from patronus.sim.language.values import choice, whole
from patronus.sim.scenario import Direction, FaultKind

_ON: Final = {
    "sites": "site", "transports": "transport", "links": "link", "groups": "group",
    "providers": "provider",
}  # fmt: skip
_SPOKEN: Final = {
    "loss_ppm": "loss", "burst": "burst", "delay_ns": "delay", "jitter_ns": "jitter",
    "rate_bps": "rate", "mtu": "mtu", "jump_ns": "jump", "up_ns": "up", "down_ns": "down",
    "policy": "policy",
}  # fmt: skip
_SHARE: Final = {"loss_ppm": "share"}
_SPOKEN_BY: Final[Mapping[FaultKind, Mapping[str, str]]] = {
    FaultKind.CORRUPTION: _SHARE,
    FaultKind.DUPLICATION: _SHARE,
    FaultKind.REORDERING: _SHARE,
    FaultKind.REKEY_STORM: {"up_ns": "spacing", "down_ns": "mute"},
}
"""Kinds that call a quantity by another key."""


def spoken(kind: FaultKind) -> Mapping[str, str]:
    """Return the key in the language of each attribute of a fault of some kind."""
    return {**_SPOKEN, **_SPOKEN_BY.get(kind, {})}


@dataclass(frozen=True, slots=True)
class Uses:
    """What a kind of fault uses, in the keys of the language."""

    on: frozenset[str]
    """Keys of ``on`` that mean something."""
    needs: frozenset[str]
    quantities: frozenset[str]
    """All quantities that mean something, the needed ones included."""


def _uses(kind: FaultKind) -> Uses:
    row, key = KINDS[kind], spoken(kind)
    needs = frozenset(key[attribute] for attribute in row.needs)
    on = frozenset(_ON[part] for part in row.selects) | ({"direction"} if row.directed else set())
    return Uses(on, needs, needs | {key[attribute] for attribute in row.allows})


USES: Final = {kind: _uses(kind) for kind in FaultKind}
QUANTITIES: Final = frozenset(q for uses in USES.values() for q in uses.quantities)

SELECT: Final = Record(
    "on", "Which objects the fault hits: sites × transports are access links.",
    Field("site", names.SITES, "Sites: names, patterns, all, hubs, spokes.", "sites"),
    Field("transport", names.TRANSPORTS, "Transports; without sites, at every site.", "transports"),
    Field("link", names.LINKS, "Links by name or pattern: access:SITE:TRANSPORT, "
          "TRANSPORT:NODE-NODE.", "links"),
    Field("group", names.GROUPS, "Shared-risk groups.", "groups"),
    Field("provider", names.TRANSPORTS, "The whole carrier of a transport.", "providers"),
    Field("mode", Either(
        worded("one, all, or a share such as 20%", {"one": ("one", 0), "all": ("all", 0)}, SOME),
        Record("count", "A number of objects.",
               Field("count", whole("a number of objects, 1 or more", 1, 10**6), "How many.",
                     required=True))),
        "How many of the objects: one, all, {count: 3} or 20%; luck chooses which.", default="all"),
    Field("direction", choice("direction", {str(d): d for d in Direction}),
          "Seen from the site, or from the first end of a carrier's link.", "direction",
          default="both"),
)  # fmt: skip


class FaultRecord(Record):
    """A record whose ``kind`` decides what the other keys may be."""

    def read(self, node: Node, reading: Reading) -> Any:
        """Return what was read, checked against what the kind uses."""
        rec = super().read(node, reading)
        if isinstance(rec, Rec):
            if "kind" in rec.values:
                _use(rec, rec.get("kind"), reading)
            _schedule(rec, reading)
        return rec

    def definition(self, defs: Json) -> Json:
        """Return the schema with a condition for each kind."""
        return {
            **super().definition(defs),
            "anyOf": [{"required": ["at"]}, {"required": ["random"]}],
            "allOf": [_condition(kind, uses) for kind, uses in USES.items()],
        }


FAULT: Final = FaultRecord(
    "fault", "One thing that goes wrong, once or repeatedly.",
    Field("name", names.NAME, "Unique name; made from the kind and a number if left out."),
    Field("kind", choice("fault kind", {str(k): k for k in FaultKind}), "What goes wrong.",
          "kind", required=True),
    Field("at", DURATION, "When it begins (with `random`: not before).", default="0s"),
    Field("for", PERIOD, "How long it lasts; until the end of the run if left out."),
    Field("every", PERIOD, "Repeat at this interval."),
    Field("times", whole("a number of times, 1 or more", 1, 10**6),
          "How often; until the end of the run if left out."),
    Field("random", PERIOD, "Repeat at random, with exponential gaps of this mean."),
    Field("on", SELECT, "What it hits.", required=True),
    Field("loss", SOME, "Packets lost.", "loss_ppm"),
    Field("share", SOME, "Packets corrupted, duplicated or reordered.", "loss_ppm"),
    Field("burst", BURST, "Bursty loss."),
    Field("delay", PERIOD, "Delay added; of a reordered packet: how long it is held back.",
          "delay_ns"),
    Field("jitter", PERIOD, "Bound of the noise added to the delay.", "jitter_ns"),
    Field("rate", RATE, "What is left of the capacity.", "rate_bps"),
    Field("mtu", MTU, "Larger packets vanish.", "mtu"),
    Field("jump", JUMP, "How far the clock jumps; `-` is backwards.", "jump_ns"),
    Field("up", PERIOD, "Flapping: how long up.", "up_ns"),
    Field("down", PERIOD, "Flapping: how long down.", "down_ns"),
    Field("spacing", PERIOD, "Rekey storm: time from one tunnel to the next.", "up_ns"),
    Field("mute", PERIOD, "Rekey storm: how long each tunnel is mute.", "down_ns"),
    Field("policy", POLICY_OR_FILE,
          "Half-applied configuration: changes to the policy that these sites alone run."),
)  # fmt: skip


def _condition(kind: FaultKind, uses: Uses) -> Json:
    unused: Json = dict.fromkeys(sorted(QUANTITIES - uses.quantities), False)
    foreign = dict.fromkeys(sorted(_FOREIGN - uses.on), False)
    then: Json = {"properties": {**unused, "on": {"properties": foreign}}}
    if uses.needs:
        then["required"] = sorted(uses.needs)
    return {"if": {"properties": {"kind": {"const": str(kind)}}}, "then": then}


_FOREIGN: Final = frozenset(SELECT.fields) - {"mode"}
_OBJECTS: Final = ("site", "transport", "link", "group", "provider")


def _use(rec: Rec, kind: FaultKind, reading: Reading) -> None:
    uses = USES[kind]
    for key in rec.node.entries:
        if key in QUANTITIES - uses.quantities:
            reading.wrong(rec.key_mark(key), f"`{key}` means nothing for a {kind} fault",
                          f"{kind} uses {one_of(sorted(uses.quantities)) or 'no quantity'}",
                          "remove it, or choose another kind")  # fmt: skip
    for key in sorted(uses.needs):
        if key not in rec:
            reading.wrong(rec.mark("kind"), f"a {kind} fault needs `{key}`",
                          rec.fields[key].shape.about, f"add `{key}: …`")  # fmt: skip
    if isinstance(on := rec.get("on"), Rec):
        _select(on, kind, uses, reading)


def _select(on: Rec, kind: FaultKind, uses: Uses, reading: Reading) -> None:
    allowed = [key for key in _OBJECTS if key in uses.on]
    for key in on.node.entries:
        if key in _FOREIGN - uses.on:
            reading.wrong(on.key_mark(key), f"a {kind} fault is not selected by `{key}`",
                          f"{kind} is selected by {one_of(allowed)}")  # fmt: skip
    given = [key for key in _OBJECTS if key in on]
    if not given:
        reading.wrong(on.node.mark, f"the {kind} fault hits nothing", f"one of {one_of(allowed)}",
                      f"to hit all: `{{{allowed[0]}: …}}`")  # fmt: skip
    families = {"access" if key in ("site", "transport") else key for key in given}
    if len(families) > 1:
        reading.wrong(on.key_mark(given[-1]), f"`{given[-1]}` cannot be combined with `{given[0]}`",
                      "site and transport together, or one of link, group, provider",
                      "write two faults")  # fmt: skip


def _schedule(rec: Rec, reading: Reading) -> None:
    if "at" not in rec and "random" not in rec:
        reading.wrong(rec.node.mark, "this fault has no time", "`at` or `random`",
                      "add `at: 30s`")  # fmt: skip
    if "every" in rec and "random" in rec:
        reading.wrong(
            rec.key_mark("random"), "`random` and `every` exclude each other", "one of them"
        )
    if "times" in rec and "every" not in rec and "random" not in rec:
        reading.wrong(rec.key_mark("times"), "`times` needs `every` or `random`",
                      "how it repeats", "add `every: 10s`")  # fmt: skip
    _repeats(rec, reading)


_MOMENTS: Final = (FaultKind.CLOCK_JUMP, FaultKind.REKEY_STORM)
"""Kinds that end by themselves."""


def _repeats(rec: Rec, reading: Reading) -> None:
    again = next((key for key in ("every", "random") if key in rec), "")
    if again and "for" not in rec and rec.get("kind") not in _MOMENTS:
        reading.wrong(rec.key_mark(again), "it repeats but never ends", "how long it lasts",
                      "add `for: 1s`")  # fmt: skip
    every, lasts = rec.get("every"), rec.get("for")
    if every and lasts and lasts >= every:
        reading.wrong(rec.mark("for"), f"it lasts {shown(lasts)} but repeats every {shown(every)}, "
                      "so it would never end", f"less than {shown(every)}")  # fmt: skip
