"""One tunnel's standing, told evaluation by evaluation."""

UNKNOWN, VIOLATING = 1, 2
NOTHING_KNOWN_NS = 2**42


class Standing:
    """The verdict of one class, and the metric, of one tunnel."""

    def __init__(self, evaluation_ns: int) -> None:
        self.evaluation_ns = evaluation_ns
        self.forget()

    verdict: int
    since_better: int
    now: int
    smooth: int
    published: int
    told: tuple[int, int, int]

    def forget(self) -> None:
        self.verdict, self.since_better = UNKNOWN, 0
        self.now = self.smooth = self.published = NOTHING_KNOWN_NS
        self.told = (-1, -1, -1)

    def judge(self, raw: int, hold_ns: int) -> tuple[bool, bool, bool]:
        """Take what an evaluation sees; return whether the verdict changed, fell, and rose."""
        old = self.verdict
        if raw > old:
            self.verdict, self.since_better = raw, 0
            return True, raw >= VIOLATING, False
        recovering = raw < old and not (old >= VIOLATING and raw == UNKNOWN)
        self.since_better = self.since_better + 1 if recovering else 0
        patience = max(1, hold_ns // self.evaluation_ns) if old >= VIOLATING else 1
        if self.since_better >= min(patience, 32_000):
            self.verdict, self.since_better = raw, 0
            return True, False, old >= VIOLATING
        return False, False, False

    def take(self, raw: int) -> None:
        """Take the verdict of the moment as it is."""
        self.verdict, self.since_better = raw, 0

    def condemn(self, raw: int) -> bool:
        """Take over a broken SLA at once, and nothing else; return whether that is new."""
        if raw >= VIOLATING and raw > self.verdict:
            self.take(raw)
            return True
        return False

    def measure(self, figures: tuple[int, int, int], badness: int, band: int) -> bool:
        """Take the figures of an evaluation; return whether the published metric changed."""
        self.now = badness
        if NOTHING_KNOWN_NS in (badness, self.smooth):
            self.smooth = badness
        else:
            self.smooth = (3 * self.smooth + badness) // 4
        if self.smooth == self.published:
            return False
        begins_or_ends = NOTHING_KNOWN_NS in (self.smooth, self.published)
        if begins_or_ends or abs(self.smooth - self.published) > band:
            self.published, self.told = self.smooth, figures
            return True
        return False


def band_ns(margin_ns: int, margin_ppm: int, published: int, *, hysteresis: bool) -> int:
    """Return how far the metric may wander unpublished: half of what a rival must gain."""
    return max(margin_ns, published * margin_ppm // 10**6) // 2 if hysteresis else 0
