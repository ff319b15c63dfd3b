"""Prometheus metrics of an agent: read when they are asked for, kept nowhere.

The scrape runs in a thread of its own and only reads, so it never delays a tick.
"""

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from patronus.control.agent.answers import Answers
from patronus.engine.units import PPM, SECOND


class Collector:
    """Turns answers into samples."""

    def __init__(self, answers: Callable[[], Answers], clock: Callable[[], int]) -> None:
        self._answers, self._clock = answers, clock

    def collect(self) -> Iterator[Metric]:
        """Yield everything."""
        answers, now_ns = self._answers(), self._clock()
        yield from _tunnels(answers.tunnels(now_ns))
        yield from _keys(answers.keys(now_ns))
        counters = answers.counters(now_ns)
        for name, label in (("outcomes", "outcome"), ("notes", "note"), ("classes", "class"),
                            ("drifts", "what")):  # fmt: skip
            family = CounterMetricFamily(
                f"patronus_{name}", f"Packets or events by {label}", labels=[label]
            )
            for key, value in counters[name].items():
                family.add_metric([key], value)
            yield family
        for name in ("kernel_moves", "kernel_moves_lost", "decisions", "pacer_rebuilt",
                     "pauses"):  # fmt: skip
            yield CounterMetricFamily(f"patronus_{name}", name, value=counters[name])


def _tunnels(tunnels: list[dict[str, Any]]) -> Iterator[Metric]:
    scales = {
        "rtt_seconds": ("rtt_ns", SECOND), "jitter_seconds": ("jitter_ns", SECOND),
        "loss_ratio": ("loss_ppm", PPM), "detect_seconds": ("detect_ns", SECOND),
    }  # fmt: skip
    up = GaugeMetricFamily("patronus_tunnel_up", "1 for up", labels=["peer", "transport"])
    for each in tunnels:
        up.add_metric([each["peer"], each["transport"]], float(each["state"] == "up"))
    yield up
    yield from _sizes(tunnels)
    for name, (key, unit) in scales.items():
        family = GaugeMetricFamily(f"patronus_tunnel_{name}", key, labels=["peer", "transport"])
        for each in tunnels:
            if each[key] is not None:  # what is unknown has no sample
                family.add_metric([each["peer"], each["transport"]], each[key] / unit)
        yield family


def _sizes(tunnels: list[dict[str, Any]]) -> Iterator[Metric]:
    labels = ["peer", "transport"]
    mtu = GaugeMetricFamily("patronus_tunnel_mtu_bytes", "Largest user packet", labels=labels)
    changes = CounterMetricFamily(
        "patronus_path_mtu_changes", "Times it was lowered or raised", labels=[*labels, "way"]
    )
    for each in tunnels:
        where = [each["peer"], each["transport"]]
        mtu.add_metric(where, each["mtu"])
        for way in ("lowered", "raised"):
            changes.add_metric([*where, way], each[f"path_mtu_{way}"])
    yield mtu
    yield changes


def _keys(keys: list[dict[str, Any]]) -> Iterator[Metric]:
    """Yield generation and age of each key, and how often it was replaced."""
    labels = ["transport"]
    generation = GaugeMetricFamily("patronus_key_generation", "Of the key in use", labels=labels)
    age = GaugeMetricFamily("patronus_key_age_seconds", "Of the key in use", labels=labels)
    pending = GaugeMetricFamily("patronus_key_rotation", "1 while one is under way", labels=labels)
    counted = CounterMetricFamily(
        "patronus_key_rotations", "Rotations by how they ended", labels=[*labels, "result"]
    )
    for key in keys:
        where = [key["transport"]]
        generation.add_metric(where, key["generation"])
        age.add_metric(where, key["age_ns"] / SECOND)
        pending.add_metric(where, float(key["next_generation"] is not None))
        for result in ("done", "given_up"):
            counted.add_metric([*where, result], key[result])
    yield from (generation, age, pending, counted)


def serve(
    address: str, port: int, answers: Callable[[], Answers], clock: Callable[[], int]
) -> Callable[[], None]:
    """Serve metrics; return what ends it.

    Raises:
        OSError: the address is not ours, or the port is taken.
    """
    registry = CollectorRegistry()
    registry.register(Collector(answers, clock))
    server, thread = start_http_server(port, address, registry=registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
