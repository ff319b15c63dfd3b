"""What faults do to one link at one instant, composed plainly, one occurrence after another."""

from collections.abc import Sequence
from dataclasses import dataclass

from patronus.sim.scenario import FaultKind
from patronus.sim.timeline import Occurrence

WHOLE = 1_000_000
FOREVER = 2**63 - 1

BLACK = {
    FaultKind.LINK_DOWN, FaultKind.BLACKHOLE, FaultKind.FLAPPING, FaultKind.SHARED_RISK_CUT,
    FaultKind.PROVIDER_OUTAGE, FaultKind.SITE_CRASH,
}  # fmt: skip


@dataclass
class Effect:
    """A neutral link, until occurrences are applied."""

    blackhole: bool = False
    cause: int = -1
    loss_ppm: int = 0
    corrupt_ppm: int = 0
    duplicate_ppm: int = 0
    reorder_ppm: int = 0
    reorder_ns: int = 0
    delay_ns: int = 0
    jitter_ns: int = 0
    rate_bps: int = FOREVER
    mtu: int = FOREVER


def both(p: int, q: int) -> int:
    """Return 1 - (1 - p)(1 - q) in ppm, halves rounded down."""
    left = (WHOLE - p) * (WHOLE - q)
    whole, rest = divmod(left, WHOLE)
    return WHOLE - (whole + (rest >= WHOLE - WHOLE // 2))


def effect_at(occurrences: Sequence[Occurrence], link: int, t_ns: int) -> Effect:
    """Apply all occurrences that are on a link at an instant, in order of fault and ordinal."""
    effect = Effect()
    numbered = sorted(enumerate(occurrences), key=lambda n: (n[1].fault.name, n[1].ordinal))
    for number, o in numbered:
        if link in o.links and o.start_ns <= t_ns < o.end_ns:
            _apply(effect, o, number)
    return effect


def _apply(effect: Effect, o: Occurrence, number: int) -> None:
    fault = o.fault
    if fault.kind in BLACK:
        effect.blackhole, effect.cause = True, number if effect.cause < 0 else effect.cause
    elif fault.kind is FaultKind.LOSS:
        effect.loss_ppm = both(effect.loss_ppm, fault.loss_ppm)
    elif fault.kind is FaultKind.CORRUPTION:
        effect.corrupt_ppm = both(effect.corrupt_ppm, fault.loss_ppm)
    elif fault.kind is FaultKind.DUPLICATION:
        effect.duplicate_ppm = both(effect.duplicate_ppm, fault.loss_ppm)
    elif fault.kind is FaultKind.REORDERING:
        effect.reorder_ppm = both(effect.reorder_ppm, fault.loss_ppm)
        effect.reorder_ns += fault.delay_ns
    elif fault.kind is FaultKind.DELAY:
        effect.delay_ns += fault.delay_ns
        effect.jitter_ns += fault.jitter_ns
    elif fault.kind is FaultKind.JITTER:
        effect.jitter_ns += fault.jitter_ns
    elif fault.kind is FaultKind.RATE:
        effect.rate_bps = min(effect.rate_bps, fault.rate_bps)
    elif fault.kind is FaultKind.MTU_BLACKHOLE:
        effect.mtu = min(effect.mtu, fault.mtu)
