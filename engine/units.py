"""Units and sentinels shared by every module.

Time is an integer of nanoseconds, probabilities are parts per million, MOS is
in thousandths. Names carry their unit last: ``rtt_ns``, ``loss_ppm``.
"""

from typing import Final

US: Final = 1_000
MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND

PPM: Final = 1_000_000
"""One whole, as parts per million."""

NEVER: Final = 2**63 - 1
"""A time that does not come (a deadline not set, a packet that was lost)."""

LONG_AGO: Final = -(2**62)
"""A stamp that was never set; far enough back that any age test fails, and
subtracting it from a time of the run does not overflow an int64."""
