"""The plain meaning of a quantity: digits times a factor, by decimal arithmetic."""

from decimal import Decimal

FACTORS = {
    "ns": "1", "us": "1e3", "ms": "1e6", "s": "1e9", "m": "6e10", "h": "3.6e12",
    "ppm": "1", "%": "1e4", "bps": "1", "kbps": "1e3", "Mbps": "1e6", "Gbps": "1e9", "B": "1",
}  # fmt: skip


def base_units(digits: str, unit: str) -> Decimal:
    """Return a quantity in nanoseconds, ppm, bit/s or bytes, perhaps not a whole number."""
    return Decimal(digits) * Decimal(FACTORS[unit])
