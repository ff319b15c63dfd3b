"""What the report's words mean: the definitions of the figures, in plain sentences."""

from collections.abc import Mapping
from typing import Final

from patronus.sim.report.markup import Markup, tag

TERMS: Final[Mapping[str, str]] = {
    "Fault": "Something that breaks on purpose: a cut, a lossy link, a site without power. "
    "t0 is the instant at which the wire begins to behave differently.",
    "Exposure": "One fault, one site, one destination and one class of traffic that the fault "
    "would have harmed if nothing had moved. All percentiles count exposures.",
    "Detection": "From t0 until the sending site first declares the tunnel down, or raises the "
    "alarm for a brownout, because of this fault.",
    "Switch": "From t0 until the site would send the next packet on a path that works, whether "
    "the kernel's prepared backup or the engine moved it. This is when traffic is back.",
    "Failover": "From t0 until the engine has chosen a path that works and the forwarding plane "
    "has acknowledged it.",
    "Outage": "The total time in which less than half of what was sent arrived, counted on a "
    "steady stream of one packet every 10 ms.",
    "Degraded": "The total time in which the same stream was outside the limits of its class "
    "(its SLA).",
    "False alarm": "A detection with no fault behind it. False alarms are counted apart.",
    "Never": "Expected, but not reached before the run ended. It counts as infinitely long in "
    "every percentile and is never left out.",
    "Percentile": "Nearest rank: “99 % within 300 ms” means that 99 of 100 exposures "
    "took at most 300 ms, and that one of them took exactly that.",
    "Undecided": "There was nothing to measure, or too few seeds to say so with the confidence "
    "that was asked for.",
    "Brownout": "A path that still answers but loses or delays too much. It is noticed by a "
    "statistical test on counted packets, not by silence.",
    "Kernel, engine": "The kernel moves a packet to a prepared backup the moment a tunnel has "
    "been silent for too long. The engine then decides properly and takes over.",
    "Loop, black hole": "Found by checkers that watch from outside: traffic that circles, and "
    "traffic that vanishes although a working path exists.",
}


def glossary() -> Markup:
    """Return the definitions as a list."""
    return tag(
        "dl",
        [tag("div", tag("dt", term), tag("dd", meaning)) for term, meaning in TERMS.items()],
        class_="glossary",
    )
