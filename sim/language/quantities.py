"""Shapes of quantities: numbers with units, kept exactly.

A quantity is an integer of its base unit (nanoseconds, ppm, bit/s, bytes); what
cannot be kept exactly is a mistake, and so is a number without a unit.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from patronus.engine.units import MINUTE, MS, PPM, SECOND, US
from patronus.sim.language.mistakes import closest, did_you_mean, quoted
from patronus.sim.language.values import NUMBERS, TEXT, Unfit, Value

HOUR: Final = 60 * MINUTE
YEAR: Final = 8760 * HOUR

TIME: Final = {"ns": 1, "ms": MS, "s": SECOND, "us": US, "m": MINUTE, "h": HOUR}
SHARES: Final = {"ppm": 1, "%": PPM // 100}
RATES: Final = {"bps": 1, "kbps": 1000, "Mbps": 10**6, "Gbps": 10**9}
_SIZE: Final = {"B": 1}
VOLUMES: Final = {"B": 1, "MB": 10**6, "GB": 10**9, "kB": 1000}
"""Units by name: the base unit, then those that are meant when none is written."""

_NUMBER: Final = r"[0-9]{1,18}(?:\.[0-9]{1,18})?"


@dataclass(frozen=True, slots=True)
class _Scale:
    """Converts texts of one sort of quantity."""

    units: Mapping[str, int]
    most: int
    positive: bool
    signed: bool

    def __call__(self, given: str) -> int:
        match = re.fullmatch(rf"([-+]?)({_NUMBER})(\s*)(\D*)", given)
        if not match:
            if re.fullmatch(r"[-+]?[0-9]{19,}[.0-9]*\s*\D*", given):
                raise Unfit(f"{quoted(given)} is too large", self._at_most)
            raise Unfit(f"{quoted(given)} is not a number with a unit")
        sign, digits, space, unit = match.groups()
        if unit not in self.units or space:
            raise self._unit(sign + digits, unit)
        if sign and not self.signed:
            raise Unfit(f"{quoted(given)} has a sign", f"write `{digits}{unit}`")
        return self._bounded(Fraction(sign + digits) * self.units[unit], given)

    def _bounded(self, value: Fraction, given: str) -> int:
        if value.denominator != 1:
            raise Unfit(f"{quoted(given)} is finer than 1{next(iter(self.units))}")
        if abs(value) > self.most:
            raise Unfit(f"{quoted(given)} is too large", self._at_most)
        if self.positive and not value:
            raise Unfit(f"{quoted(given)} makes no sense here", "write more than zero")
        return int(value)

    @property
    def _at_most(self) -> str:
        return f"at most `{shown(self.most, self.units)}`"

    def _unit(self, digits: str, unit: str) -> Unfit:
        if unit in self.units:
            return Unfit("a space before the unit", f"write `{digits}{unit}`")
        if not unit:
            some = " or ".join(f"`{digits}{name}`" for name in list(self.units)[1:3])
            return Unfit(f"{quoted(digits)} has no unit", f"write {some or digits + 'B'}")
        near = closest(unit, self.units)
        advice = f"write `{digits}{near}`" if near else f"units are {', '.join(self.units)}"
        return Unfit(f"unknown unit {quoted(unit)}", advice)


def _quantity(
    about: str, units: Mapping[str, int], most: int, *, positive: bool = False, signed: bool = False
) -> Value:
    sign, some = "[-+]?" if signed else "", "(?=.*[1-9])" if positive else ""
    pattern = f"^{some}{sign}{_NUMBER}({'|'.join(units)})$"
    # A bare number fits too, so that its mistake speaks of the unit it lacks.
    json = {"type": "string", "pattern": pattern}
    return Value(about, TEXT | NUMBERS, json, _Scale(units, most, positive, signed))


DURATION: Final = _quantity("a duration such as 300ms, 30s, 5m or 1h", TIME, YEAR)
PERIOD: Final = _quantity("a duration above zero such as 300ms or 30s", TIME, YEAR, positive=True)
JUMP: Final = _quantity("a duration such as 2s, -2s or +50ms", TIME, YEAR, signed=True)
SHARE: Final = _quantity("a share such as 3%, 0.1% or 500ppm", SHARES, PPM)
SOME: Final = _quantity("a share above zero such as 3% or 500ppm", SHARES, PPM, positive=True)
RATE: Final = _quantity("a rate such as 64kbps, 10Mbps or 1Gbps", RATES, 10**15, positive=True)
VOLUME: Final = _quantity("a size such as 64MB or 2GB", VOLUMES, 10**15, positive=True)
SIZE: Final = _quantity("a size such as 200B", _SIZE, 65_535, positive=True)


def worded(about: str, words: Mapping[str, Any], quantity: Value) -> Value:
    """Return some words, each standing for a value, or a quantity."""

    def convert(given: str) -> Any:
        if given in words:
            return words[given]
        if given[:1].isalpha():
            raise Unfit(f"unknown word {quoted(given)}", did_you_mean(given, words))
        return quantity.convert(given)

    json = {"anyOf": [{"enum": list(words)}, quantity.json]}
    return Value(about, quantity.kinds, json, convert)


def shown(value: int, units: Mapping[str, int] = TIME) -> str:
    """Return a quantity in the largest unit that keeps it whole."""
    if not value:
        return "0s"
    unit = max((name for name in units if value % units[name] == 0), key=units.__getitem__)
    return f"{value // units[unit]}{unit}"


def share(ppm: int) -> str:
    """Return a share as it is written."""
    return shown(ppm, SHARES) if ppm else "0%"


def rate(bps: int) -> str:
    """Return a rate as it is written."""
    return shown(bps, RATES)


def duration(time_ns: int) -> str:
    """Return a duration, which may be negative, as it is written."""
    return f"-{shown(-time_ns)}" if time_ns < 0 else shown(time_ns)
