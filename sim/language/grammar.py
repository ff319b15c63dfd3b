"""The whole language: the root record, and the JSON Schema made from it."""

from typing import Final

from patronus.sim.language import names, network
from patronus.sim.language.faults import FAULT
from patronus.sim.language.policy import CLASSES, POLICY_OR_FILE, VERSION
from patronus.sim.language.quantities import DURATION, PERIOD
from patronus.sim.language.records import Field, Record, schema_of
from patronus.sim.language.shapes import Json, ListOf
from patronus.sim.language.values import choice, whole

APPENDED: Final = ("faults", "traffic", "expect")
"""Lists that a file may lengthen instead of replacing: ``faults+:``."""

INHERITED: Final = ("topology", "transports")
"""Required, but the file named by ``extends`` may give them."""

_FIELDS: Final = (
    Field("version", VERSION, "Version of the language; always 1.", required=True),
    Field("name", names.NAME, "Name in reports; the file's name if left out.", "name"),
    Field("about", names.PROSE, "What this teaches, in a sentence.", "about"),
    Field("extends", names.PROSE, "A scenario file that this one changes (mappings merge, lists "
          "replace)."),
    Field("duration", PERIOD, "Simulated time.", "duration_ns", default="60s"),
    Field("warmup", DURATION, "Simulated time before the start, left out of all figures.",
          "warmup_ns", default="5s"),
    Field("start", choice("start", {"converged": False, "cold": True}),
          "Begin converged, or with nothing known.", "cold", default="converged"),
    Field("seed", whole("a seed from 0 to 2^63 - 1"), "Seed of all luck.", "seed", default="1"),
    Field("topology", network.TOPOLOGY, "Sites and tunnels.", required=True),
    Field("transports", network.TRANSPORTS, "Names of shipped profiles, or a mapping from names to "
          "properties.", required=True),
    Field("groups", network.GROUPS, "Shared-risk groups: links that one event takes together."),
    Field("destinations", network.DESTINATIONS, "Prefixes that several sites announce."),
    Field("classes", CLASSES, "Traffic classes, laid over those of the policy."),
    Field("policy", POLICY_OR_FILE, "Timers, margins, damping, features; or a file with them."),
    Field("traffic", ListOf(network.TRAFFIC, "a list of offered loads"), "Offered load."),
    Field("control", network.CONTROL, "The path of announcements."),
    Field("faults", ListOf(FAULT, "a list of faults"), "What goes wrong."),
    Field("expect", ListOf(names.EXPECTATION, "a list of expectations"),
          "What must hold, such as `failover.p99 < 300ms`."),
)  # fmt: skip


class ScenarioRecord(Record):
    """The root; the schema knows that a base file may give what is required."""

    def definition(self, defs: Json) -> Json:
        """Return the schema, with the appended lists."""
        root = super().definition(defs)
        for key in APPENDED:
            doc = f"Appended to the `{key}` of the file that this one extends."
            root["properties"][f"{key}+"] = {**self.fields[key].schema(defs), "description": doc}
        root["required"] = [key for key in root["required"] if key not in INHERITED]
        root["anyOf"] = [{"required": ["extends"]}, {"required": list(INHERITED)}]
        return root


SCENARIO: Final = ScenarioRecord(
    "scenario", "A rehearsal: a network, what goes wrong in it, and what must hold.",
    *_FIELDS,
)  # fmt: skip


def schema() -> Json:
    """Return the JSON Schema (2020-12) of scenario files, for editors and other tools."""
    return schema_of(SCENARIO, "Patronus scenario")
