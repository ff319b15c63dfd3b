"""The shipped transport profiles: what an access link and its carrier are like by default.

These are assumptions, chosen to be plausible and round, not measurements; a study
that depends on one should state its own numbers. Where they come from:

* mpls: what business access contracts promise (a few ms to the provider edge,
  loss of 10 ppm or less), no bursts, since the access is dimensioned for its rate.
* broadband: a cable or DSL line in the evening: some ms of interleaving and
  scheduling, a bounded queue of an active queue manager, short error bursts.
* lte: scheduling requests and HARQ give tens of ms with as much noise; handovers
  and fades come as bursts of some hundred ms.
* satellite: a low-orbit constellation, bent pipe; the 15 s rhythm of its
  reconfiguration is left to the scenario (a repeated fault), since it is what
  such a scenario wants to show.

Rates are those of a middling contract, seen from the site: ``up`` leaves it. Every
core has 10 Gbit/s and adds no loss of its own but for the public Internet's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from patronus.engine.units import MS, SECOND
from patronus.sim.scenario import Burst, LinkProfile, TransportSpec

MBPS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class TransportProfile:
    """Defaults of one kind of transport."""

    up: LinkProfile
    down: LinkProfile
    core: LinkProfile
    liveness: str
    """Name in ``patronus.engine.policy.PROFILES``."""
    provider: str
    """Graph of the carrier when the scenario names none."""
    reroute_ns: int
    """Carriers with fast reroute are quicker than the convergence of the Internet."""

    def spec(self, name: str) -> TransportSpec:
        """Return a transport that is just like this, for scenarios built in code."""
        return TransportSpec(
            name, self.up, self.down, self.core, provider=self.provider, reroute_ns=self.reroute_ns
        )


def _access(rate_mbps: int, base: LinkProfile) -> LinkProfile:
    return replace(base, rate_bps=rate_mbps * MBPS)


_MPLS: Final = LinkProfile(delay_ns=2 * MS, jitter_ns=MS, loss_ppm=10, buffer_ns=20 * MS)
_BROADBAND: Final = LinkProfile(
    delay_ns=8 * MS,
    jitter_ns=6 * MS,
    loss_ppm=500,
    burst=Burst(gap_ns=30 * SECOND, length_ns=120 * MS, loss_ppm=300_000),
    buffer_ns=80 * MS,
)
_LTE: Final = LinkProfile(
    delay_ns=25 * MS,
    jitter_ns=25 * MS,
    loss_ppm=2000,
    burst=Burst(gap_ns=20 * SECOND, length_ns=250 * MS, loss_ppm=400_000),
    buffer_ns=200 * MS,
    mtu=1428,
)
_SATELLITE: Final = LinkProfile(
    delay_ns=30 * MS,
    jitter_ns=15 * MS,
    loss_ppm=3000,
    burst=Burst(gap_ns=15 * SECOND, length_ns=150 * MS, loss_ppm=300_000),
    buffer_ns=100 * MS,
)

SHIPPED: Final[Mapping[str, TransportProfile]] = {
    "mpls": TransportProfile(
        up=_access(100, _MPLS),
        down=_access(100, _MPLS),
        core=LinkProfile(),
        liveness="wan",
        provider="ring",
        reroute_ns=200 * MS,
    ),
    # wan (10 Hz) rather than the 20 Hz of the liveness profile called broadband:
    # a thousand sites then send no more probes here than over mpls.
    "broadband": TransportProfile(
        up=_access(40, _BROADBAND),
        down=_access(250, _BROADBAND),
        core=LinkProfile(jitter_ns=MS, loss_ppm=50),
        liveness="wan",
        provider="mesh",
        reroute_ns=SECOND,
    ),
    "lte": TransportProfile(
        up=_access(20, _LTE),
        down=_access(60, _LTE),
        core=LinkProfile(jitter_ns=MS, loss_ppm=50),
        liveness="lte",
        provider="star",
        reroute_ns=SECOND,
    ),
    "satellite": TransportProfile(
        up=_access(15, _SATELLITE),
        down=_access(150, _SATELLITE),
        core=LinkProfile(jitter_ns=MS, loss_ppm=50),
        liveness="satellite",
        provider="star",
        reroute_ns=SECOND,
    ),
}
