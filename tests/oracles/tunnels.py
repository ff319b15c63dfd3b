"""One tunnel as its site knows it, told moment by moment."""

from tests.oracles.damping import Record


class Tunnel:
    """Down, waiting for the end of its hold, or up."""

    def __init__(self, hold: int, limit: int, decay: int) -> None:
        self.damping = hold, limit, decay
        self.state, self.since = "down", 0
        self.record = Record(*self.damping)

    def tick(self) -> None:
        """Let one unit of time pass."""
        self.record.tick()

    def fall(self) -> bool:
        """Go down; tell whether it was up."""
        was_up = self.state == "up"
        if was_up:
            self.record.flap(still_up=False)
        self.state = "down"
        return was_up

    def hear(self, at: int) -> None:
        if self.state == "down":
            self.state, self.since = "init", at

    def rise(self, now: int) -> bool:
        """Come up if the proof has lasted for the hold."""
        ready = self.state == "init" and now - self.since >= self.record.hold
        return self.admit() if ready else False

    def admit(self) -> bool:
        """Come up before that."""
        if self.state == "init":
            self.state = "up"
            self.record.up()
        return True

    def begin(self, since: int | None, *, latched: bool) -> None:
        """Know nothing but what the kernel shows."""
        self.record = Record(*self.damping)
        self.state = "down" if since is None else "init" if latched else "up"
        if since is not None:
            self.since = since
        if self.state == "up":
            self.record.up()

    def catch_up(self, since: int | None, *, latched: bool) -> bool:
        """Compare with what the kernel shows; tell whether it was up and is not."""
        fell = self.fall() if since is None or (self.state == "up" and latched) else False
        if since is not None:
            self.hear(since)
            if self.state == "init":
                self.since = max(self.since, since)
        return fell
