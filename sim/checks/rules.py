"""What the policy says that a checker needs: who may use which transport, and how well.

This is configuration, not a decision of the engine. A site on which a configuration
is half applied is held to the policy that it runs.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from patronus.engine.liveness import I8
from patronus.engine.overlay import I64, Overlay
from patronus.engine.policy import Policy, SlaClass, WhenNone
from patronus.engine.selection import Bools
from patronus.engine.units import PPM, SECOND
from patronus.engine.verdict import COMPLIANT, VIOLATING, Figures, verdict
from patronus.sim.tally import has_limits


class Rules:
    """By site and class: allowed transports, limits, and whether nothing may be sent."""

    def __init__(self, overlay: Overlay, policy: Policy, *, slack_ppm: int = 0) -> None:
        """Take the common policy, and the loss that probes cannot tell from none."""
        self._transports, self._slack_ppm = overlay.transports, slack_ppm
        self.policies = [policy]
        self.of_site: I64 = np.zeros(len(overlay.sites), dtype=np.int64)
        """Which of the policies each site runs."""
        self._lay_out()

    def configure(self, sites: Sequence[int], policy: Policy | None) -> None:
        """Let some sites run another policy; None: the common one."""
        policy = policy or self.policies[0]
        if policy not in self.policies:
            self.policies.append(policy)
        self.of_site[list(sites)] = self.policies.index(policy)
        self._lay_out()

    def _lay_out(self) -> None:
        classes = [p.classes for p in self.policies]
        self.allowed: Bools = np.array(
            [[[t not in c.sla.forbid for t in self._transports] for c in of] for of in classes],
            dtype=np.bool_,
        )
        """Shape (policies, classes, transports)."""
        self.limited: Bools = np.array(
            [[has_limits(c.sla) for c in of] for of in classes], dtype=np.bool_
        )
        self.drops: Bools = np.array(
            [[c.sla.when_none is WhenNone.DROP for c in of] for of in classes], dtype=np.bool_
        )

    def violates(self, figures: Figures, variant: I64, number: I64) -> Bools:
        """Tell which ways break their class's SLA beyond doubt; shape (n,)."""
        found: Bools = self._verdict(less(figures, self._slack_ppm), variant, number) >= VIOLATING
        return found

    def keeps(self, figures: Figures, variant: I64, number: I64) -> Bools:
        """Tell which ways keep their class's SLA beyond doubt; shape (n,) or (n, m)."""
        found: Bools = self._verdict(more(figures), variant, number) == COMPLIANT
        return found

    def _verdict(self, figures: Figures, variant: I64, number: I64) -> I8:
        found = np.zeros(figures.rtt_ns.shape, dtype=np.int8)
        code = variant * self.limited.shape[1] + number
        for value in np.unique(code).tolist():
            at = np.flatnonzero(code == value)
            sla = (
                self.policies[value // self.limited.shape[1]]
                .classes[value % self.limited.shape[1]]
                .sla
            )
            mine = Figures(*(f[at].ravel() for f in figures))
            found[at] = verdict(mine, sla).reshape(found[at].shape)
        return found


DOUBT: Final = 2
"""Jitter and loss are beyond doubt at this many times the limit, or at that part of it."""

LOST_PROBES: Final = 10
"""Nothing short of so many lost probes, besides what the limit allows, is beyond doubt: a
hundred probes at 3 % of loss often lose one or none."""


def slack_ppm(policy: Policy, transports: Sequence[str], span_ns: int) -> int:
    """Return the share that ``LOST_PROBES`` are of the probes of a time span.

    The slowest transport counts. Traffic sharpens the engine's eye where there is some;
    what nobody needs to see is judged by probes alone.
    """
    interval = max((policy.profile(t).interval_ns for t in transports), default=SECOND)
    return min(PPM, LOST_PROBES * PPM * interval // span_ns)


def less(figures: Figures, slack_ppm: int) -> Figures:
    """Return figures with the benefit of the doubt."""
    loss = np.maximum(figures.loss_ppm - slack_ppm, 0) // DOUBT
    return Figures(figures.rtt_ns * 4 // 5, figures.jitter_ns // DOUBT, loss)


def more(figures: Figures) -> Figures:
    """Return figures with a reserve."""
    loss = np.minimum(figures.loss_ppm * DOUBT, PPM)
    return Figures(figures.rtt_ns * 5 // 4, figures.jitter_ns * DOUBT, loss)


def bound_ns(policy: Policy, transports: Sequence[str], *, spread_ns: int, rtt_ns: int) -> int:
    """Return when an overlay has converged after a change, at the latest.

    Three detect times for the tunnel in use and its backups, two evaluations, the hold of
    a tunnel that came back from its first failure, an announcement, and a probe there and
    back.

    Args:
        policy: the common one.
        transports: of the overlay.
        spread_ns: how long an announcement takes at most.
        rtt_ns: longest round trip of a probe.
    """
    detect = max((policy.profile(t).detect_ns for t in transports), default=SECOND)
    damping = policy.damping
    hold = min(2 * damping.hold_ns, damping.hold_max_ns) if policy.features.damping else 0
    return 3 * detect + 2 * policy.evaluation_ns + hold + spread_ns + rtt_ns


def sla_bound_ns(policy: Policy, converged_ns: int) -> int:
    """Return how long a broken SLA is forgiven: loss is judged over a window of its own."""
    return converged_ns + policy.loss_window * policy.evaluation_ns


ADAPTED: Final = 10
"""No tunnel waits for more silent intervals than this."""

SETTLING: Final = 64
"""Samples after which a round trip and a jitter have forgotten what they were."""

CLEARING: Final = 513
"""Good packets that clear an alarm of 3 % of loss or more, at the latest, where a line usually
loses less than 0.5 %."""

REVIVING: Final = 54
"""Good packets that clear an alarm of half of the packets lost or more, at the latest. No
class bears that, so what is chosen waits for it even where no loss is judged."""


def recovery_bounds_ns(
    policy: Policy, transports: Sequence[str], *, spread_ns: int, rtt_ns: int, reroute_ns: int
) -> I64:
    """Return by class when all is as it should be after the last fault, at the latest.

    In this order: the provider routes as before; silence that had begun is noticed, and a
    probe comes back; what a tunnel lost leaves the window, its round trip and jitter
    settle, and an alarm that keeps the class away is cleared by probes alone; the tunnel proves
    itself for the longest hold; the others hear of it in an announcement that may just have
    been missed; and it is chosen. Sites take two evaluations for what the next one needs.

    Args:
        policy: the common one.
        transports: of the overlay.
        spread_ns: how long an announcement takes at most.
        rtt_ns: longest round trip of a probe.
        reroute_ns: longest time that a provider takes to route anew.
    """
    profiles = [policy.profile(t) for t in transports]
    interval = max((p.interval_ns for p in profiles), default=SECOND)
    silence = max((p.detect_ns for p in profiles), default=SECOND)
    if policy.features.adaptive_multiplier:
        silence = max(silence, ADAPTED * interval)
    window = policy.loss_window * policy.evaluation_ns
    hold = policy.damping.hold_max_ns if policy.features.damping else 0
    heard = policy.announcement_ns + 2 * policy.evaluation_ns + spread_ns
    common = reroute_ns + silence + interval + rtt_ns + hold + heard + 4 * policy.evaluation_ns
    slow = [SETTLING * interval * _settles(c.sla) for c in policy.classes]
    clear = [_clears(c.sla, policy) * interval for c in policy.classes]
    pairs = zip(slow, clear, strict=True)
    return np.array([common + max(window, *pair) for pair in pairs], dtype=np.int64)


def _settles(sla: SlaClass) -> bool:
    limits = sla.latency_ns, sla.jitter_ns, sla.mos_milli
    return any(limit is not None for limit in limits)


def _clears(sla: SlaClass, policy: Policy) -> int:
    """Return how many good packets a class waits for after an alarm, at the most."""
    if not (policy.features.brownout and policy.features.sla):
        return 0
    judged = sla.loss_ppm is not None or sla.mos_milli is not None
    return CLEARING if judged else REVIVING
