"""Declares and checks the BFD neighbours of ``agent.yml``."""

from typing import Final

from patronus.control.config.values import FILE, INTERFACE, NEIGHBOUR
from patronus.engine.units import MS, SECOND
from patronus.sim.language import names
from patronus.sim.language.quantities import PERIOD
from patronus.sim.language.records import Field, Rec, Record
from patronus.sim.language.shapes import Reading
from patronus.sim.language.values import SWITCH, whole

INTERVAL_LEAST_NS: Final = 50 * MS
"""Below it an event loop on a busy machine makes false downs (docs/bfd.md)."""
INTERVAL_MOST_NS: Final = 60 * SECOND


def _check(rec: Rec, reading: Reading) -> None:
    named = [key for key in ("transport", "interface") if key in rec]
    if len(named) != 1:
        reading.wrong(rec.node.mark, "a neighbour is on a transport or on the LAN",
                      "`transport`, or the LAN's `interface`, and not both")  # fmt: skip
    interval_ns = rec.get("interval", INTERVAL_LEAST_NS)
    if not INTERVAL_LEAST_NS <= interval_ns <= INTERVAL_MOST_NS:
        reading.wrong(rec.mark("interval"), "a program cannot keep this interval",
                      "50ms to 60s")  # fmt: skip
    if "key" not in rec and ("key_id" in rec or "meticulous" in rec):
        reading.wrong(rec.node.mark, "there is no key to go with it", "`key: FILE` as well")


BFD: Final = Record(
    "bfd", "A router that is not ours, which speaks BFD (RFC 5880, 5881) with us.",
    Field("address", NEIGHBOUR, "Its address, on a link of ours.", "address", required=True),
    Field("transport", names.TRANSPORT, "The transport that it stands on, or else …", "transport"),
    Field("interface", INTERFACE, "… the interface of the LAN.", "interface"),
    Field("interval", PERIOD, "How often we send, and would like to be sent to.", "interval_ns",
          default="300ms"),
    Field("multiplier", whole("a multiplier from 1 to 255", 1, 255),
          "So many missed packets mean that it is down.", "multiplier", default="3"),
    Field("key", FILE, "File with the key of SHA1 authentication, at most 20 bytes."),
    Field("key_id", whole("a key's number from 0 to 255", 0, 255), "Number of the key.", "key_id",
          default="1"),
    Field("meticulous", SWITCH, "Meticulous Keyed SHA1 instead of Keyed SHA1.", "meticulous",
          default="on"),
    check=_check,
)  # fmt: skip


def check(root: Rec, interfaces: tuple[str, ...], reading: Reading) -> None:
    """Note neighbours on interfaces that are none of the LAN's, and two of one address."""
    first: dict[tuple[str, str], str] = {}
    for name, rec in root.get("bfd", {}).items():
        interface = rec.get("interface")
        if interface and interfaces and interface not in interfaces:
            reading.wrong(rec.mark("interface"), f"{interface} is no interface of the LAN",
                          f"one of {', '.join(interfaces)}, or a `transport`")  # fmt: skip
        place = rec.get("address", ""), interface or rec.get("transport", "")
        if all(place) and place in first:
            reading.wrong(rec.mark("address"), f"{first[place]} has this address as well",
                          "one session with each neighbour")  # fmt: skip
        first.setdefault(place, name)
