"""The shipped scenarios, and which of them shows what each fault kind does."""

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Final

from patronus.engine.policy import Features
from patronus.sim.language import load
from patronus.sim.run import Run
from patronus.sim.scenario import FaultKind, Scenario

FOLDER: Final = Path(__file__).parents[2] / "scenarios"
SUFFIX: Final = ".patronus.yml"

NAMES: Final = tuple(sorted(p.name.removesuffix(SUFFIX) for p in FOLDER.glob(f"*{SUFFIX}")))
FEATURES: Final = tuple(field.name for field in fields(Features))

SHOWN: Final = {
    FaultKind.LINK_DOWN: ("congestion-after-failover", "cut"),
    FaultKind.BLACKHOLE: ("dual-isp-blackout", "blackout"),
    FaultKind.LOSS: ("one-way-loss", "uplink"),
    FaultKind.BURST_LOSS: ("bursty-loss", "radio"),
    FaultKind.DELAY: ("delay-step", "detour"),
    FaultKind.JITTER: ("jitter", "uneven"),
    FaultKind.CORRUPTION: ("dirty-line", "damage"),
    FaultKind.DUPLICATION: ("dirty-line", "doubles"),
    FaultKind.REORDERING: ("dirty-line", "overtaking"),
    FaultKind.RATE: ("rate-cut", "throttle"),
    FaultKind.FLAPPING: ("flapping-lte", "flap"),
    FaultKind.SHARED_RISK_CUT: ("shared-risk-cut", "excavator"),
    FaultKind.PROVIDER_OUTAGE: ("provider-outage", "outage"),
    FaultKind.SITE_CRASH: ("hub-loss", "power"),
    FaultKind.AGENT_KILL: ("agent-killed", "killed"),
    FaultKind.AGENT_PAUSE: ("agent-paused", "paused"),
    FaultKind.CONTROLLER_PARTITION: ("stale-transit", "partition"),
    FaultKind.CLOCK_JUMP: ("clock-jump", "ntp"),
    FaultKind.MTU_BLACKHOLE: ("mtu-blackhole", "mtu"),
    FaultKind.DRAIN: ("rolling-maintenance", "drain-1"),
    FaultKind.HALF_CONFIG: ("half-applied-config", "rollout"),
    FaultKind.REKEY_STORM: ("rekey-storm", "rekey"),
    FaultKind.LAN_DOWN: ("hub-lan-loss", "switch-died"),
}
"""By kind: a scenario and the name of the fault in it."""


def path_of(name: str) -> Path:
    """Return the file of a shipped scenario."""
    return FOLDER / f"{name}{SUFFIX}"


def shipped(name: str, settings: Iterable[str] = ()) -> Scenario:
    """Load a shipped scenario, changed by settings like those of ``--set``."""
    return load(path_of(name), settings)


def without(name: str, feature: str) -> Scenario:
    """Load a shipped scenario for an engine that lacks a feature."""
    return shipped(name, [f"policy.features.{feature}=off"])


def failing(run: Run) -> list[str]:
    """Return the expectations that a run does not meet, in order of the file."""
    return [e["text"] for e in run.summary["expectations"] if e["verdict"] == "fail"]
