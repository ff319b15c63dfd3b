"""The delay test of one tunnel, sample by sample."""

from dataclasses import dataclass

MS, SECOND = 10**6, 10**9


def within(number: int, low: int, high: int) -> int:
    """Return the number, or the bound it is beyond."""
    return low if number < low else high if number > high else number


@dataclass
class Tunnel:
    """One tunnel; ``usual`` is -1 before its first sample."""

    usual: int = -1
    width: int = 0
    score: int = 0
    samples: int = 0
    frozen: bool = False
    alarmed: bool = False
    mirror: int = 0
    level: int = 0
    age: int = 0

    def observe(self, rtt: int, jitter: int) -> str:
        """Return ``alarmed``, ``cleared`` or nothing."""
        if rtt < 0:
            return ""
        if self.usual == -1:
            self.usual, self.samples = rtt, 1
            self.width = within(max(rtt // 2, jitter), MS, SECOND)
            return ""
        most, width = 4 * self.width, self.width
        x = within(rtt - self.usual, -most, most)
        if self.alarmed:
            return self.follow(rtt, x)
        self.score = max(0, self.score + x - width)
        was_frozen, self.frozen = self.frozen, self.score >= 8 * width
        if not was_frozen:
            self.learn(rtt, x, jitter)
        self.samples += 1
        if self.score < 16 * width:
            return ""
        self.alarmed, self.frozen = True, False
        self.score = self.mirror = self.age = 0
        self.level = rtt
        return "alarmed"

    def learn(self, rtt: int, x: int, jitter: int) -> None:
        """Move what is usual."""
        slowness = 8 if self.samples < 32 else 256
        most = 4 * self.width
        fall = min(rtt - self.usual + most, 0)
        self.usual += x // slowness + fall // 8
        far = min(max(abs(x), jitter, MS), most)
        self.width = min(self.width + (far - self.width) // slowness, SECOND)

    def follow(self, rtt: int, x: int) -> str:
        """Ask whether it is as usual again."""
        self.mirror = max(0, self.mirror + self.width // 2 - x)
        self.level += (rtt - self.level) // 8
        if self.mirror < 6 * self.width:
            return ""
        self.alarmed, self.mirror = False, 0
        return "cleared"

    def rotate(self) -> bool:
        """Let an interval pass; tell whether the level was adopted."""
        if not self.alarmed:
            return False
        self.age += 1
        if self.age < 300:
            return False
        self.usual, self.alarmed, self.mirror = self.level, False, 0
        return True
