"""Which policy each site runs: one everywhere, unless a roll-out is only half applied."""

from collections.abc import Iterator, Sequence

import numpy as np

from patronus.engine.overlay import I32, I64
from patronus.engine.policy import Policy


class Configured:
    """The policies in force; classes must have the same names in the same order."""

    def __init__(self, policy: Policy, sites: int) -> None:
        self.policies: list[Policy] = [policy]
        self._of_site: I64 = np.zeros(sites, dtype=np.int64)

    def set(self, sites: Sequence[int], policy: Policy | None) -> None:
        """Let some sites run another policy, or the common one again (None).

        Raises:
            ValueError: the other policy has other classes.
        """
        common = [c.name for c in self.policies[0].classes]
        if policy is None:
            self._of_site[list(sites)] = 0
            return
        if [c.name for c in policy.classes] != common:
            raise ValueError(f"a half-applied policy needs the same classes: {', '.join(common)}")
        if policy not in self.policies:
            self.policies.append(policy)
        self._of_site[list(sites)] = self.policies.index(policy)

    def split(self, sites: I32 | I64) -> Iterator[tuple[int, I64]]:
        """Yield (number of the policy, positions of the sites that run it)."""
        if len(self.policies) == 1:
            yield 0, np.arange(len(sites), dtype=np.int64)
            return
        numbers = self._of_site[sites]
        for number in np.unique(numbers).tolist():
            yield number, np.flatnonzero(numbers == number)
