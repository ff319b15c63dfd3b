"""What may be said of one tunnel and one class, by cases."""

from patronus.engine.policy import SlaClass


def judge(rtt_ns: int, jitter_ns: int, loss_ppm: int, mos_milli: int, sla: SlaClass) -> str:
    """Return ``compliant``, ``unknown``, ``violating`` or ``outage``."""
    if loss_ppm >= 500_000:
        return "outage"
    unknown = rtt_ns == -1
    for figure, limit in (
        (rtt_ns, sla.latency_ns),
        (jitter_ns, sla.jitter_ns),
        (loss_ppm, sla.loss_ppm),
    ):
        if limit is None:
            continue
        if figure == -1:
            unknown = True
        elif figure > limit:
            return "violating"
    if sla.mos_milli is not None:
        if mos_milli == -1:
            unknown = True
        elif mos_milli < sla.mos_milli:
            return "violating"
    return "unknown" if unknown else "compliant"
