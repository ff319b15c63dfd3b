"""Builds a policy from what was read: the same words in scenarios and in agents' files."""

from collections.abc import Mapping

from patronus.engine.policy import (
    Damping,
    Features,
    LivenessProfile,
    Match,
    Policy,
    SlaClass,
    TrafficClass,
)  # fmt: skip
from patronus.sim.language.quantities import shown
from patronus.sim.language.records import Rec


def policy(
    rec: Rec | None, probing: Mapping[str, LivenessProfile], costs: Mapping[str, int]
) -> Policy:
    """Return the policy of a record.

    Args:
        rec: as read; None for all defaults.
        probing: by transport, what the transports themselves say; the policy is stronger.
        costs: likewise.
    """
    if rec is None:
        return Policy(liveness=probing, cost=costs)
    attributes = rec.attributes()
    margin = rec.get("margin")
    attributes |= margin.attributes() if isinstance(margin, Rec) else {}
    attributes |= {"margin_ppm": margin} if isinstance(margin, int) else {}
    if damping := rec.get("damping"):
        attributes["damping"] = Damping(**damping.attributes())
    if features := rec.get("features"):
        attributes["features"] = Features(**features.attributes())
    if classes := rec.get("classes"):
        attributes["classes"] = _classes(classes)
    own = {name: liveness(profile) for name, profile in rec.get("liveness", {}).items()}
    return Policy(**attributes, liveness={**probing, **own}, cost={**costs, **rec.get("cost", {})})


def liveness(given: LivenessProfile | Rec) -> LivenessProfile:
    """Return a profile that was named, or described by interval and multiplier."""
    if isinstance(given, LivenessProfile):
        return given
    return profile(given.get("interval"), given.get("multiplier"))


def profile(interval_ns: int, multiplier: int) -> LivenessProfile:
    """Return a profile without a name of its own."""
    return LivenessProfile(f"{shown(interval_ns)}×{multiplier}", interval_ns, multiplier)


def _classes(records: Mapping[str, Rec]) -> tuple[TrafficClass, ...]:
    # The class that takes the rest comes last wherever it was written: a file that
    # extends another adds its classes after all of the base's.
    order = sorted(records, key=lambda name: "match" not in records[name])
    return tuple(_class(name, records[name]) for name in order)


def _class(name: str, rec: Rec) -> TrafficClass:
    limits = rec.get("sla")
    sla = SlaClass(
        **(limits.attributes() if limits else {}),
        **rec.attributes(),
        forbid=frozenset(rec.get("forbid", ())),
    )
    matches = tuple(_match(match) for match in rec.get("match", ()))
    return TrafficClass(name, matches, sla, rec.get("share", {}), rec.get("pin", False))


def _match(rec: Rec) -> Match:
    return Match(**rec.attributes(), dscp=frozenset(rec.get("dscp", ())))
