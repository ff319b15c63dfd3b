"""The loss test of one tunnel, batch by batch and with nothing put off."""

from dataclasses import dataclass, field
from math import isqrt

from patronus.engine.brownout_table import ADDED, ALARM, BASE_PPM, SUSPECTED_PPM, TAKEN

KINDS = range(3)
BOUND = 2**30


@dataclass
class Count:
    """Packets and losses."""

    sent: int = 0
    lost: int = 0

    def add(self, sent: int, lost: int) -> None:
        """Count some more."""
        self.sent, self.lost = min(self.sent + sent, BOUND), min(self.lost + lost, BOUND)

    def halve(self) -> None:
        """Let the past count half."""
        self.sent, self.lost = self.sent // 2, self.lost // 2


@dataclass
class Alarm:
    """What is known since a change."""

    count: Count
    below: Count = field(default_factory=Count)
    mirror: int = 0
    doubted: int = 0
    estimate_ppm: int = 0
    packets: int = 0
    age: int = 0
    worse: int = 0
    since_worse: Count = field(default_factory=Count)
    level: int = 0


class Tunnel:
    """One tunnel."""

    def __init__(self) -> None:
        self.usual = Count(300, 1)
        self.patience = 0
        self.rest()

    def rest(self) -> None:
        """Begin to watch."""
        self.alarm: Alarm | None = None
        self.scores = [0 for _ in KINDS]
        self.since = [Count() for _ in KINDS]
        self.epoch = Count()
        self.calm = 0
        self.choose()

    def choose(self) -> None:
        """Find the usual loss in the table."""
        self.level = level_of(self.usual)

    def observe(self, sent: int, lost: int) -> str:
        """Return ``alarmed``, ``cleared`` or nothing."""
        return self.follow(sent, lost) if self.alarm else self.watch(sent, lost)

    def watch(self, sent: int, lost: int) -> str:
        """Test for a rise."""
        limit = ALARM * 2**self.patience
        for kind in KINDS:
            step = ADDED[kind][self.level] * lost - TAKEN[kind][self.level] * sent
            self.scores[kind] = min(max(self.scores[kind] + step, 0), limit)
            if self.scores[kind] > 0:
                self.since[kind].add(sent, lost)
            else:
                self.since[kind] = Count()
        self.epoch.sent += sent
        self.epoch.lost += lost
        sure = [kind for kind in KINDS if self.scores[kind] == limit]
        if self.epoch.sent >= 128:
            if 2 * max(self.scores) < limit:
                self.learn()
            self.epoch = Count()
        if not sure:
            return ""
        self.epoch, self.scores = Count(), [0 for _ in KINDS]
        self.alarm = Alarm(self.since[sure[-1]])
        self.refer()
        return "alarmed"

    def learn(self) -> None:
        """Take an epoch into the usual loss."""
        sent, lost = self.usual.sent + self.epoch.sent, self.usual.lost + self.epoch.lost
        if sent >= 2**19:
            sent, lost = sent // 2, lost // 2
        self.usual = Count(min(sent, BOUND), min(lost, BOUND))
        self.choose()

    def refer(self) -> None:
        """Estimate the loss and choose what to doubt."""
        alarm = self.alarm
        assert alarm is not None
        if alarm.count.sent >= 2048 or alarm.count.lost >= 64:
            alarm.count.halve()
        alarm.count.add(0, 0)
        alarm.estimate_ppm = alarm.count.lost * 10**6 // max(alarm.count.sent, 1)
        below = [k for k in KINDS if SUSPECTED_PPM[k][self.level] <= alarm.estimate_ppm]
        alarm.doubted = max(below, default=0)
        alarm.level = level_of(alarm.count)

    def follow(self, sent: int, lost: int) -> str:
        """Test for a fall, or for something much worse."""
        alarm = self.alarm
        assert alarm is not None
        if self.worsen(alarm, sent, lost):
            self.alarm = Alarm(alarm.since_worse)
            self.refer()
            return "alarmed"
        taken, added = TAKEN[alarm.doubted][self.level], ADDED[alarm.doubted][self.level]
        alarm.mirror = max(alarm.mirror + taken * sent - added * lost, 0)
        alarm.below = Count() if alarm.mirror == 0 else alarm.below
        if alarm.mirror:
            alarm.below.add(sent, lost)
        alarm.count.sent += sent
        alarm.count.lost += lost
        alarm.packets = min(alarm.packets + sent, BOUND)
        fallen = alarm.mirror >= ALARM
        if fallen:
            alarm.count, alarm.below, alarm.mirror = alarm.below, Count(), 0
            taken, added = TAKEN[0][self.level], ADDED[0][self.level]
            if added * alarm.count.lost <= taken * alarm.count.sent:
                self.patience = min(self.patience + (alarm.age < 3), 5)
                self.rest()
                return "cleared"
        if fallen or lost:
            self.refer()
        return ""

    def worsen(self, alarm: Alarm, sent: int, lost: int) -> bool:
        """Ask whether the alarmed level is now twenty times the odds."""
        taken, added = TAKEN[2][alarm.level], ADDED[2][alarm.level]
        if alarm.estimate_ppm >= BASE_PPM[-1]:
            added = 0
        limit = 4 * ALARM * 2**self.patience
        alarm.worse = min(max(alarm.worse + added * lost - taken * sent, 0), limit)
        alarm.since_worse = alarm.since_worse if alarm.worse else Count()
        if alarm.worse:
            alarm.since_worse.add(sent, lost)
        return bool(alarm.worse == limit)

    def rotate(self) -> bool:
        """Let an interval pass; tell whether the level was adopted."""
        if self.alarm is None:
            self.calm += 1
            if self.calm >= 600:
                self.patience, self.calm = max(self.patience - 1, 0), 0
            return False
        self.alarm.age += 1
        if self.alarm.age < 300 or self.alarm.packets < 128:
            return False
        self.epoch = self.alarm.count
        self.usual = Count()
        self.learn()
        self.rest()
        return True

    def estimate_ppm(self) -> int:
        """Return the loss since the change, or -1."""
        return self.alarm.estimate_ppm if self.alarm else -1

    def usual_ppm(self) -> int:
        """Return the loss it is tested against."""
        return BASE_PPM[self.level]


def level_of(count: Count) -> int:
    """Return the place in the table of the first loss a standard deviation above a share."""
    upper = count.lost + min(isqrt(count.lost), 4096) + 1
    return next(
        (n for n, ppm in enumerate(BASE_PPM) if ppm * max(count.sent, 1) >= upper * 10**6),
        len(BASE_PPM) - 1,
    )
