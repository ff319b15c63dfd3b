"""Which policy each site runs: one everywhere, unless a roll-out is only half applied."""

from collections.abc import Iterator, Sequence

import numpy as np

from patronus.engine.overlay import I32, I64
from patronus.engine.policy import Policy


class Configured:
    """The policies in force; classes must have the same names in the same order.

    Liveness profiles, damping, announcements and the evaluation interval are those of the
    common policy everywhere: the other one brings classes, costs, margins and features.
    """

    def __init__(self, policy: Policy, sites: int) -> None:
        self.policies: list[Policy] = [policy]
        """The common one first; then no more than there are sites."""
        self._of_site: I64 = np.zeros(sites, dtype=np.int64)

    def set(self, sites: Sequence[int], policy: Policy | None) -> None:
        """Let some sites run another policy, or the common one again (None).

        Raises:
            ValueError: the other policy has other classes.
        """
        common = [c.name for c in self.policies[0].classes]
        if policy is not None and [c.name for c in policy.classes] != common:
            raise ValueError(f"a half-applied policy needs the same classes: {', '.join(common)}")
        self._of_site[list(sites)] = 0 if policy is None else self._number(policy)
        self._drop_unused()

    def of(self, site: int) -> Policy:
        """Return the policy that a site runs."""
        return self.policies[int(self._of_site[site])]

    def split(self, sites: I32 | I64) -> Iterator[tuple[Policy, slice | I64]]:
        """Yield policies, each with the positions of the sites that run it."""
        if len(self.policies) == 1:
            yield self.policies[0], slice(None)
            return
        numbers = self._of_site[sites]
        for number in np.unique(numbers).tolist():
            yield self.policies[number], np.flatnonzero(numbers == number)

    def _number(self, policy: Policy) -> int:
        if policy not in self.policies:
            self.policies.append(policy)
        return self.policies.index(policy)

    def _drop_unused(self) -> None:
        used = np.union1d(self._of_site, [0])
        self.policies = [self.policies[n] for n in used.tolist()]
        self._of_site = np.searchsorted(used, self._of_site).astype(np.int64)
