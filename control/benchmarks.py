"""What ``patronus bench`` measured, for the terminal."""

from collections.abc import Mapping
from typing import Any, Final

from patronus.control.tables import counted, indented, table

_INSTALL: Final = "pip install 'patronus[bench]'"

_HEADS: Final = (
    "", "tunnels", "simulated", "wall", "probes/s", "packets/s", "x real time", "for all", "times",
)  # fmt: skip

_STEPS: Final = ((1.0, "s", 1.0), (1e-3, "ms", 1e3), (0.0, "µs", 1e6))


def machine_lines(facts: Mapping[str, Any]) -> list[str]:
    """Return the facts of the machine."""
    memory = facts["memory_mb"]
    libraries = ", ".join(f"{name} {version}" for name, version in facts["libraries"].items())
    return table(
        [
            ["processor", f"{facts['cpu']}, {counted(facts['cores'], 'core')}"],
            ["memory", "unknown" if memory is None else f"{memory:,} MB"],
            ["system", facts["system"]],
            ["python", facts["python"]],
            ["libraries", libraries],
        ]
    )


def lines_of(record: Mapping[str, Any]) -> list[str]:
    """Return the lines about one measure."""
    kind = {"case": case_lines, "choice": choice_lines, "search": search_lines}
    return kind[record["measure"]](record)


def case_lines(record: Mapping[str, Any]) -> list[str]:
    """Return the lines about one scenario and its peers."""
    head = f"{record['case']}: {record['about']}"
    if "not_run" in record:
        return [head, f"  not run: {record['not_run']}"]
    counts = ", ".join(
        f"{record[name]:,} {word}"
        for name, word in (
            ("probes", "probes"),
            ("probes_lost", "lost"),
            ("decisions", "decisions"),
        )
    )
    bars = []
    if record["bar_s"] is not None:
        bars.append(f"{record['bar_s']:g} s")
    if record["bar_mb"] is not None:
        bars.append(f"{record['bar_mb']:,} MB")
    bar = f" (bar {', '.join(bars)})" if bars else ""
    rows = [_HEADS, _row("patronus", record, record["wall_s"]["median"], None)]
    rows += [_peer_row(name, peer, record["missing"]) for name, peer in record["peers"].items()]
    return [
        head,
        f"  {counted(record['sites'], 'site')}, {counts}; peak {record['peak_mb']:,} MB{bar}",
        *indented(table(rows, right=range(1, len(_HEADS)))),
    ]


def _row(
    name: str, part: Mapping[str, Any], whole_s: float, times: float | None
) -> tuple[str, ...]:
    return (
        name, f"{part['tunnels']:,}", f"{part['simulated_s']:g} s", wall(part["wall_s"]),
        f"{part['probes_per_s']:,.0f}", f"{part['packets_per_s']:,.0f}",
        f"{part['x_real_time']:.3g}", duration(whole_s), "-" if times is None else f"{times:,.3g}",
    )  # fmt: skip


def _peer_row(name: str, peer: Mapping[str, Any], missing: list[str]) -> tuple[str, ...]:
    if "status" in peer:
        return (name, f"{peer['status']} ({_INSTALL})")
    row = _row(name, peer, peer["extrapolated_s"], peer["times"])
    if peer["times"] is None:
        why = f"no {', '.join(missing)}" if missing else "it lost nothing"
        return (*row[:-1], f"not compared: {why}")
    return row


def choice_lines(record: Mapping[str, Any]) -> list[str]:
    """Return the lines about path choice."""
    rows = []
    for name, words in (("all", "all pairs"), ("one", "one site's change")):
        bar = record[f"{name}_bar_s"]
        told = "" if bar is None else f"(bar {duration(bar)})"
        rows.append(
            [words, wall(record[f"{name}_wall_s"]), told, f"{record[f'{name}_moved']:,} moved"]
        )
    head = f"path-choice-{record['layout']}: {record['sites']:,} sites, {record['pairs']:,} pairs"
    return [f"{head}, {record['candidates']} candidates each", *indented(table(rows))]


def search_lines(record: Mapping[str, Any]) -> list[str]:
    """Return the lines about path search."""
    bar = "" if record["bar_s"] is None else f" (bar {duration(record['bar_s'])})"
    same = "equal distances" if record["equal_distances"] else "THE DISTANCES DIFFER"
    rows = [
        ["patronus", wall(record["wall_s"]) + bar, ""],
        ["networkx", wall(record["networkx_wall_s"]), f"{record['times']:.3g} times as long"],
    ]
    head = f"{record['nodes']:,} nodes, {record['links']:,} links, {same}"
    return [f"path-search: all pairs with predecessors, {head}", *indented(table(rows))]


def wall(record: Mapping[str, Any]) -> str:
    """Return the median of some times, and between which they lay."""
    cpu = f", {duration(record['cpu_median'])} of CPU" if "cpu_median" in record else ""
    if len(record["values"]) == 1:
        return duration(record["median"]) + cpu
    low, high = duration(record["min"]), duration(record["max"])
    return f"{duration(record['median'])} ({low} to {high}){cpu}"


def duration(seconds: float) -> str:
    """Return a time with three digits in a unit that fits."""
    for least, unit, factor in _STEPS:
        if seconds >= least:
            return f"{seconds * factor:,.3g} {unit}" if seconds < 1000 else f"{seconds:,.0f} s"
    raise AssertionError("no time is negative")
