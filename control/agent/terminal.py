"""What commands about an agent have in common: options, one question, tables of its answers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from patronus.control.endings import BAD_INPUT, Failure
from patronus.control.tables import indented, table
from patronus.engine.units import MS, PPM, SECOND, US

CONFIG: Final = "/etc/patronus/agent.yml"
GAP: Final = "–"
"""In place of a figure that is not known."""

F = TypeVar("F", bound=Callable[..., Any])


def config_option(command: F) -> F:
    """Let a command take the file that tells where its agent is."""
    option: F = click.option(
        "--config", "file", metavar="FILE", default=CONFIG, show_default=True,
        help="The agent's configuration.",
    )(command)  # fmt: skip
    return option


def json_option(command: F) -> F:
    """Let a command print plain data."""
    option: F = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
    return option


def asked(file: str, question: dict[str, Any]) -> Any:
    """Return what the agent of a configuration answers.

    Raises:
        Failure: none runs, or it refuses.
    """
    from patronus.control.agent.control import NotRunning, Refused, ask
    from patronus.control.config import load

    try:
        return ask(Path(load(file).run), question)
    except (NotRunning, Refused) as error:
        raise Failure(str(error), BAD_INPUT) from None


def shown(answer: Any, lines: Callable[[Any], list[str]], *, as_json: bool) -> None:
    """Print an answer, as data or for people."""
    if as_json:
        click.echo(json.dumps(answer, sort_keys=True))
    else:
        click.echo("\n".join(lines(answer)))


def milliseconds(time_ns: int | None) -> str:
    """Return a time as it stands in a table."""
    if time_ns is None:
        return GAP
    return f"{time_ns / MS:.1f} ms" if time_ns >= MS else f"{time_ns / MS:.3f} ms"


def percent(share_ppm: int | None) -> str:
    """Return a share as it stands in a table."""
    return GAP if share_ppm is None else f"{share_ppm * 100 / PPM:.2f} %"


def health_lines(health: dict[str, Any]) -> list[str]:
    """Return how an agent is."""
    lines = [
        f"{health['site']} ({health['role']}), up for {health['up_ns'] / SECOND:.0f} s",
        *indented(health["way"]),
    ]
    if health["unconfirmed"]:
        lines.append("  the configuration waits to be confirmed: `patronus agent apply --confirm`")
    lines += ["tunnels:", *indented(tunnel_lines(health["tunnels"]))]
    lines += ["detect times:", *indented(_detect_lines(health["tunnels"]))]
    members = [[name, how] for name, how in health["members"].items()]
    lines += ["members:", *indented(table(members))]
    lines += [f"recording: {health['recording'] or 'no'}"]
    for title in ("troubles",):
        lines += [f"{title}:", *indented(health[title] or ["none"])]
    repaired = [[what, f"{count:,}"] for what, count in sorted(health["drifts"].items())]
    return [*lines, "repaired:", *indented(table(repaired) or ["nothing"])]


def tunnel_lines(tunnels: list[dict[str, Any]]) -> list[str]:
    """Return a line for each tunnel."""
    head = "tunnel|kind|state|round trip|way out|jitter|loss|silent for|MTU|".split("|")
    rows = [
        [
            t["tunnel"], t["kind"], t["state"],
            *(milliseconds(t[key]) for key in ("rtt_ns", "out_ns", "jitter_ns")),
            percent(t["loss_ppm"]), milliseconds(t["silent_ns"]), str(t["mtu"] or GAP),
            ", ".join(_remarks(t)),
        ]
        for t in tunnels
    ]  # fmt: skip
    return table([head, *rows], right=(3, 4, 5, 6, 7, 8))


def _remarks(tunnel: dict[str, Any]) -> Iterator[str]:
    yield from (word for word in ("drained", "latched") if tunnel[word])
    if not tunnel["met"]:
        yield "the other end is unknown"
    if "verdict" in tunnel:
        yield tunnel["verdict"]


def _detect_lines(tunnels: list[dict[str, Any]]) -> list[str]:
    return table([[t["tunnel"], milliseconds(t["detect_ns"]), t["detect_why"]] for t in tunnels])


def path_lines(paths: list[dict[str, Any]]) -> list[str]:
    """Return a line for each entry."""
    head = ["destination", "class", "path", "now", "candidates", ""]
    rows = [
        [p["destination"], p["class"], p["path"] or GAP, p["outcome"].replace("_", " "),
         ", ".join(_candidates(p)) or GAP, "pinned" if p["pinned"] else ""]
        for p in paths
    ]  # fmt: skip
    return table([head, *rows])


def _candidates(path: dict[str, Any]) -> Iterator[str]:
    """Yield the candidates, with the sixteenths of the flows that each gets where they share."""
    for name, part in zip(path["candidates"], path["shares"], strict=False):
        yield f"{name} {part}/{sum(path['shares'])}" if any(path["shares"][1:]) else name


def forwarding_lines(answer: dict[str, Any]) -> list[str]:
    """Return what is installed."""
    rows = [
        [p["prefix"], p["destination"], "here" if p["local"] else ""] for p in answer["prefixes"]
    ]
    told = f"generation {answer['generation']} of the kernel, {answer['programmed']} of the engine"
    return [told, *indented(table(rows))]


def flow_lines(flows: list[dict[str, Any]]) -> list[str]:
    """Return a line for each flow."""
    head = ["source", "target", "protocol", "class", "destination", "pinned to", "packets", "bytes"]
    rows = [
        [
            f"{f['source']} {f['source_port']}", f"{f['target']} {f['target_port']}",
            str(f["protocol"]), f["class"] or GAP, f["destination"] or GAP,
            f["pinned_to"] or GAP, f"{f['packets']:,}", f"{f['bytes']:,}",
        ]
        for f in flows
    ]  # fmt: skip
    return table([head, *rows], right=(6, 7))


def bfd_lines(answer: dict[str, Any]) -> list[str]:
    """Return a line for each BFD neighbour, and what was counted of all of them."""
    head = ["neighbour", "address", "on", "state", "its state", "sends every", "detects in",
            "changes", ""]  # fmt: skip
    rows = [
        [
            n["neighbour"], n["address"], n["transport"] or f"LAN, {n['interface']}",
            (n["state"] or GAP).replace("_", " "), (n["remote_state"] or GAP).replace("_", " "),
            milliseconds(n["transmit_us"] and n["transmit_us"] * US),
            milliseconds(n["detection_ns"]), str(n["changes"]), ", ".join(_bfd_remarks(n)),
        ]
        for n in answer["neighbours"]
    ]  # fmt: skip
    if not rows:
        return ["no neighbour is configured"]
    counted = ("received", "sent", "send_errors")
    told = ", ".join(f"{key.replace('_', ' ')} {answer[key]:,}" for key in counted)
    refused = [[why, f"{count:,}"] for why, count in answer["discards"].items()]
    return [
        *table([head, *rows], right=(5, 6, 7)), told,
        "refused:", *indented(table(refused, right=(1,)) or ["nothing"]),
    ]  # fmt: skip


def _bfd_remarks(neighbour: dict[str, Any]) -> Iterator[str]:
    if neighbour["failed"]:
        yield f"failed: {neighbour['why'].replace('_', ' ')}"
    if neighbour["authenticated"]:
        yield "authenticated"
    if neighbour["trouble"]:
        yield neighbour["trouble"]


def counter_lines(answer: dict[str, Any]) -> list[str]:
    """Return every counter that is not zero, by its group."""
    lines = []
    for group, value in answer.items():
        some = {k: v for k, v in value.items() if v} if isinstance(value, dict) else {"": value}
        if some:
            lines += [group, *indented(table([[k, f"{v:,}"] for k, v in some.items()], right=(1,)))]
    return lines


def why_lines(answer: dict[str, Any]) -> list[str]:
    """Return the decision in force, what came before, and what there is to choose from."""
    now, decision = answer["now"], answer["decision"]
    lines = path_lines([now]) if now else ["this destination is behind this very site"]
    if decision is None:
        lines += ["", "No decision has been taken since the agent started."]
    else:
        lines += [
            "",
            "Decided:",
            *indented(_decision_lines([*answer["recent"][-5:]] or [decision])),
        ]
        numbers = [[name, f"{value:,}"] for name, value in decision["numbers"].items()]
        lines += ["By:", *indented(table(numbers, right=(1,)))]
    return [*lines, "", "Tunnels:", *indented(tunnel_lines(answer["tunnels"]))]


def _decision_lines(decisions: list[dict[str, Any]]) -> list[str]:
    return table(
        [
            [f"{d['t_ns'] / SECOND:.3f} s", d["from"] or GAP, "→", d["to"] or GAP,
             d["reason"].replace("_", " ")]
            for d in decisions
        ]
    )  # fmt: skip
