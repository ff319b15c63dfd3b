"""One damped tunnel, told second by second."""


class Record:
    """The flaps that one tunnel has against it."""

    def __init__(self, hold: int, limit: int, decay: int) -> None:
        self.limit, self.decay = limit, decay
        # Every hold that can occur, from the shortest to the longest.
        self.ladder = [min(hold, limit)]
        while 0 < self.ladder[-1] < limit:
            self.ladder.append(min(2 * self.ladder[-1], limit))
        self.rung = 0
        self.up_for: int | None = None
        self.story = False

    def tick(self) -> None:
        """Let one unit of time pass."""
        if self.up_for is not None:
            self.up_for += 1
            if self.up_for % self.decay == 0 and self.rung:
                self.rung -= 1
                self.story = False

    def flap(self, *, still_up: bool) -> None:
        """Fail, wholly or the SLA only; within a story that is no news."""
        if not self.story:
            self.rung = min(self.rung + 1, len(self.ladder) - 1)
        self.story = True
        self.up_for = 0 if still_up else None

    def up(self) -> None:
        """Come through the hold."""
        self.story = False
        if self.up_for is None:
            self.up_for = 0

    @property
    def hold(self) -> int:
        return self.ladder[self.rung]
