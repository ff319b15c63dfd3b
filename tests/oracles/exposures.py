"""One exposure, watched move by move."""

from collections.abc import Callable

NEVER = 2**63 - 1
END, KERNEL, ENGINE, ACK = range(4)


class Watched:
    """When one entry was saved from one fault."""

    def __init__(self, entry: int, t0_ns: int, row: int, *, hard: bool) -> None:
        self.entry, self.t0_ns, self.hard = entry, t0_ns, hard
        self.row_before, self.row_after = row, -1
        self.switch_ns = self.failover_ns = NEVER
        self.moved_by = END

    def see(
        self, at_ns: int, kind: int, row: int, truth: Callable[[int, int, int], tuple[bool, bool]]
    ) -> None:
        """Take a move of this entry, in order of time."""
        alive, fine = truth(self.entry, row, at_ns)
        if at_ns < self.t0_ns or not alive or not (fine or self.hard):
            return
        if self.switch_ns == NEVER:
            self.switch_ns, self.row_after = at_ns - self.t0_ns, row
            self.moved_by = ENGINE if kind == ACK else kind
        if self.failover_ns == NEVER and kind in (ACK, END):
            self.failover_ns = at_ns - self.t0_ns

    @property
    def settled_ns(self) -> int:
        last = max(self.switch_ns, self.failover_ns)
        return NEVER if last == NEVER else self.t0_ns + last

    @property
    def columns(self) -> tuple[int, ...]:
        return (
            self.entry, self.t0_ns, self.row_before, self.row_after, self.switch_ns,
            self.failover_ns, self.moved_by,
        )  # fmt: skip
