"""Test packets made by hand, for tests in which a peer only has to be heard."""

import time

from patronus.dataplane.stamp.fields import Stamp
from patronus.dataplane.stamp.packet import Probe
from patronus.dataplane.stamp.tlv import Liveness, Tlv, Type


def probe_of(number: int) -> bytes:
    """Return a probe of a peer that hears us; its reflection finds nobody."""
    liveness = Liveness(True, number, 0, 0, number, 0, 0, 0, 0, 0)
    tlv = Tlv(Type.LIVENESS, liveness.pack()).pack()
    return Probe(number, Stamp.of(time.monotonic_ns()), ssid=1, tlvs=tlv).pack()
