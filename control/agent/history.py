"""The last decisions of an engine, kept for whoever asks why: bounded, as lines."""

import json
from collections import deque
from typing import Any, Final

LINES_MAX: Final = 1_000
"""In all ..."""
ENTRIES_MAX: Final = 65_536
"""... and of each entry the last one, for so many."""


class History:
    """Takes the lines of the journal."""

    def __init__(self) -> None:
        self._recent: deque[bytes] = deque(maxlen=LINES_MAX)
        self._last: dict[tuple[str, str], bytes] = {}
        self.count = 0

    def take(self, line: bytes) -> None:
        """Keep a line."""
        self.count += 1
        self._recent.append(line)
        told = json.loads(line)
        key = told["destination"], told["class"]
        self._last.pop(key, None)
        self._last[key] = line
        if len(self._last) > ENTRIES_MAX:
            del self._last[next(iter(self._last))]

    def last(self, destination: str, traffic_class: str) -> dict[str, Any] | None:
        """Return the last decision on an entry, None if there was none."""
        line = self._last.get((destination, traffic_class))
        return json.loads(line) if line else None

    def recent(self, destination: str, traffic_class: str) -> list[dict[str, Any]]:
        """Return the recent decisions on an entry, the oldest first."""
        found = (json.loads(line) for line in self._recent)
        return [d for d in found if (d["destination"], d["class"]) == (destination, traffic_class)]
