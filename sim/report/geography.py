"""Where the sites and links of a run stand on its map."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

MARGIN = 0.06
TALLEST, FLATTEST = 0.72, 0.34
"""Limits of height / width."""


@dataclass(frozen=True, eq=False)
class Map:
    """The topology of a run, projected into a frame of width 1."""

    topology: Mapping[str, Any]

    @cached_property
    def sites(self) -> list[Mapping[str, Any]]:
        """The sites; those without known places stand on a circle."""
        sites = list(self.topology.get("sites", ()))
        if len({(s["x"], s["y"]) for s in sites}) > 1 or len(sites) < 2:
            return sites
        turn = [2 * math.pi * i / len(sites) for i in range(len(sites))]
        return [{**s, "x": math.cos(a), "y": math.sin(a)} for s, a in zip(sites, turn, strict=True)]

    @cached_property
    def links(self) -> list[Mapping[str, Any]]:
        """The links that have a length."""
        return [k for k in self.topology.get("links", ()) if list(k["a"]) != list(k["b"])]

    @cached_property
    def nodes(self) -> list[Mapping[str, Any]]:
        """The places of the providers at which a drawn link ends."""
        ends = {tuple(end) for link in self.links for end in (link["a"], link["b"])}
        return [n for n in self.topology.get("nodes", ()) if (n["x"], n["y"]) in ends]

    @cached_property
    def failed(self) -> frozenset[str]:
        """Names of the links that a fault hit."""
        return frozenset(self.topology.get("failed", ()))

    @cached_property
    def failed_sites(self) -> frozenset[str]:
        """Names of the sites that a fault hit, themselves or in their access links."""
        access = [name for name in self.failed if name.startswith("access:")]
        cut = {name.removeprefix("access:").rpartition(":")[0] for name in access}
        return frozenset(self.topology.get("failed_sites", ())) | cut

    @cached_property
    def providers(self) -> list[str]:
        """Providers that have links on the map."""
        return list(dict.fromkeys(str(link["provider"]) for link in self.links))

    @cached_property
    def ratio(self) -> float:
        """Height of the frame; its width is 1."""
        (left, right), (low, high) = self._bounds
        width = max((right - left) * self.squeeze, 1e-9)
        return min(TALLEST, max(FLATTEST, (high - low) / width))

    @cached_property
    def _bounds(self) -> tuple[tuple[float, float], tuple[float, float]]:
        ends = [end for link in self.links for end in (link["a"], link["b"])]
        xs = [float(s["x"]) for s in self.sites] + [float(end[0]) for end in ends]
        ys = [float(s["y"]) for s in self.sites] + [float(end[1]) for end in ends]
        return (min(xs), max(xs)), (min(ys), max(ys))

    @cached_property
    def squeeze(self) -> float:
        """Length of a degree across, in degrees upwards."""
        # A degree of longitude is shorter than one of latitude by the cosine of the latitude.
        low, high = self._bounds[1]
        middle = (low + high) / 2
        return max(0.2, math.cos(math.radians(middle))) if abs(middle) < 85 else 1.0

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return the shares of width and height where a point is drawn, scales kept equal."""
        (left, right), (low, high) = self._bounds
        width, height = (right - left) * self.squeeze, high - low
        unit = (1 - 2 * MARGIN) * min(1 / max(width, 1e-9), self.ratio / max(height, 1e-9))
        across = 0.5 + unit * ((x - left) * self.squeeze - width / 2)
        down = 0.5 - unit * (y - low - height / 2) / self.ratio
        return across, down
