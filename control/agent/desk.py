"""Answers what comes over the control socket, and changes of the configuration.

A reload reads the file again. What it asks for is done at once: settings and policies as the
agent runs, graver changes by beginning anew in the same process, while the kernel forwards. A
change that may cut the agent off is refused, unless it is to be confirmed: then it is undone
when nobody does.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from patronus.control.agent import drains
from patronus.control.agent.control import SOCKET, Refused, Server
from patronus.control.agent.driver import OWN
from patronus.control.agent.rotations import NotNow
from patronus.control.agent.wanted import Unsupported
from patronus.control.config import ConfigError, load
from patronus.control.config.model import AgentConfig
from patronus.control.config.reload import Action, action, dangers, diff
from patronus.control.members.secretfile import SecretError
from patronus.dataplane.tunnels.keys import KeyTrouble
from patronus.engine.units import SECOND

if TYPE_CHECKING:
    from patronus.control.agent.loop import Agent

CONFIRM_S_MAX: Final = 3600.0
AGAIN_S: Final = 5.0
"""Between two tries to have a socket: the disk may be full."""

log = logging.getLogger("patronus.agent")


@dataclass(slots=True)
class Trial:
    """A configuration that is to be confirmed; it outlives the agent that runs it."""

    before: AgentConfig
    until_ns: int


@dataclass(slots=True)
class Change:
    """What is to be run next."""

    config: AgentConfig
    trial: Trial | None


class Desk:
    """Who answers for one agent."""

    def __init__(
        self, agent: "Agent", trial: Trial | None, begin: Callable[[Change], None]
    ) -> None:
        """Answer for an agent.

        Args:
            agent: that is asked about.
            trial: which configuration comes back when this one is not confirmed.
            begin: lets another configuration take over.
        """
        self._agent, self._trial, self._begin = agent, trial, begin
        self._timer: asyncio.TimerHandle | None = None
        self._again: asyncio.Task[None] | None = None
        self._trouble = ""
        self._server = Server(Path(agent.config.run) / SOCKET, self._answer)
        self._does: dict[str, Callable[[dict[str, Any]], Any]] = {
            "show": self._show, "why": self._why, "drain": self._drain, "reload": self._reload,
            "apply": self._apply, "confirm": self._confirm, "record": self._record,
            "rotate": self._rotate,
        }  # fmt: skip

    async def start(self) -> None:
        """Begin to answer, now or when the folder of the socket can be written to.

        Without anybody who could ask, packets are steered all the same.
        """
        await self._listen()
        if self._trial is not None:
            left_s = max(self._trial.until_ns - time.monotonic_ns(), 0) / SECOND
            self._timer = asyncio.get_running_loop().call_later(left_s, self._undo)

    async def _listen(self) -> None:
        try:
            await self._server.start()
            self._trouble = ""
        except OSError as error:
            told = f"nobody can ask this agent: {self._server.path}: {error.strerror or error}"
            if told != self._trouble:
                log.error("trouble: %s", told)
            self._trouble = told
            self._again = asyncio.get_running_loop().create_task(self._listen_later())

    async def _listen_later(self) -> None:
        await asyncio.sleep(AGAIN_S)
        await self._listen()

    async def stop(self) -> None:
        """Answer no more."""
        if self._again is not None:
            self._again.cancel()
        if self._timer is not None:
            self._timer.cancel()
        await self._server.stop()

    async def _answer(self, asked: dict[str, Any]) -> Any:
        does = self._does.get(str(asked.get("do")))
        if does is None:
            raise Refused(f"this agent does not know how to {asked.get('do')}")
        return does(asked)

    # ------------------------------------------------------------ questions

    def _show(self, asked: dict[str, Any]) -> Any:
        answers, now_ns = self._agent.answers, time.monotonic_ns()
        what = asked.get("what")
        if what == "health":
            return self._health(now_ns)
        if what == "bfd":
            neighbours = self._agent.neighbours
            return neighbours.answer() if neighbours else None
        if what == "flows":
            most = asked.get("most", 20)
            return answers.flows(most if isinstance(most, int) and most > 0 else 20)
        views = {
            "paths": answers.paths, "forwarding": answers.forwarding, "counters": self._counters,
            "keys": answers.keys,
        }  # fmt: skip
        if what not in views:
            raise Refused(f"there is nothing called {what} to show")
        return views[what](now_ns)

    def _counters(self, now_ns: int) -> dict[str, Any]:
        """Return every counter; those of the kernel, and of what came to our own sockets."""
        members, neighbours = self._agent.members, self._agent.neighbours
        refused = members.roster.refused if members else {}
        failed = members.unsent + members.unread if members else {}
        discards = neighbours.driver.discards if neighbours else {}
        return {
            **self._agent.answers.counters(now_ns),
            "members_refused": {str(why): count for why, count in refused.items()},
            "members_failed": dict(failed),
            "bfd_refused": {str(why): count for why, count in discards.items()},
        }

    def _health(self, now_ns: int) -> dict[str, Any]:
        agent = self._agent
        recorder, roster = agent.recorder, agent.members.roster if agent.members else None
        names = [peer.name for peer in agent.config.peers]
        return {
            "site": agent.config.site,
            "role": str(agent.config.role),
            "up_ns": now_ns - agent.started_ns,
            "way": agent.way,
            "tunnels": agent.answers.tunnels(now_ns),
            "members": {n: roster.standing(n).name.lower() if roster else "unknown" for n in names},
            "jobs": agent.jobs(),
            "steps": agent.site.step_ns,
            "troubles": agent.troubles,
            "lan_up": bool(agent.engine.lan_up[OWN]),
            "drifts": dict(agent.site.drifts),
            "recording": str(recorder.path) if recorder and recorder.running else None,
            "unconfirmed": self._trial is not None,
        }

    def _why(self, asked: dict[str, Any]) -> Any:
        destination, traffic_class = str(asked.get("destination")), str(asked.get("class") or "")
        return self._agent.answers.why(destination, traffic_class, time.monotonic_ns())

    # ------------------------------------------------------------ orders

    def _drain(self, asked: dict[str, Any]) -> Any:
        on = asked.get("on") is not False
        rows = self._agent.answers.rows(str(asked.get("name")))
        driver, site = self._agent.driver, self._agent.site
        driver.drain(rows, time.monotonic_ns(), on=on)
        log.info("%s name=%s", "drain" if on else "undrain", asked.get("name"))
        trouble = None
        try:
            drains.store(Path(site.config.state), site.layout.labels, driver.drains.ours_ns)
        except SecretError as error:
            trouble = f"an agent that starts again will not know of it: {error}"
            log.warning("%s", trouble)
        return {
            "tunnels": len(rows), "on": on, "by_peer": driver.drains.by_peer(rows),
            "trouble": trouble,
        }  # fmt: skip

    def _rotate(self, asked: dict[str, Any]) -> Any:
        named, rotations = asked.get("transports") or [], self._agent.site.rotations
        try:
            rotations.start([str(name) for name in named], time.monotonic_ns())
        except (NotNow, KeyTrouble) as trouble:
            raise Refused(str(trouble)) from None
        self._agent.wake("keys")
        log.info("rotate transports=%s", ",".join(map(str, named)) or "all")
        return rotations.answer(time.monotonic_ns())

    def _record(self, asked: dict[str, Any]) -> Any:
        agent = self._agent
        if agent.recorder is None:
            raise Refused("recording is off in the configuration: `record: off`")
        if asked.get("on") is False:
            agent.recorder.stop(agent.engine)
        elif not agent.recorder.running:
            agent.recorder.start(agent.engine)
        running = agent.recorder.running
        return {"recording": str(agent.recorder.path) if running else None}

    # ------------------------------------------------------------ configurations

    def hang_up(self) -> None:
        """SIGHUP: reload, and log what is wrong instead of saying it."""
        try:
            self._reload({})
        except Refused as refused:
            log.error("reload refused: %s", refused)

    def _read(self) -> AgentConfig:
        try:
            config = load(self._agent.config.path)
            self._agent.site.check(config)
        except (ConfigError, Unsupported) as error:
            raise Refused(f"nothing was changed\n\n{error}") from None
        except OSError as error:
            raise Refused(f"nothing was changed: {error}") from None
        return config

    def _reload(self, asked: dict[str, Any]) -> Any:
        del asked
        config = self._read()
        if risks := dangers(self._agent.config, config):
            raise Refused(
                f"nothing was changed: {'; '.join(risks)}. Use `patronus agent apply "
                "--confirm-within TIME`, which undoes it unless it is confirmed"
            )
        return self._change(config, None)

    def _apply(self, asked: dict[str, Any]) -> Any:
        seconds = asked.get("confirm_within_s")
        if not isinstance(seconds, (int, float)) or not 0 < seconds <= CONFIRM_S_MAX:
            raise Refused(f"a time to confirm within is above 0 and up to {CONFIRM_S_MAX:g} s")
        before = self._trial.before if self._trial else self._agent.config
        until_ns = time.monotonic_ns() + int(seconds * SECOND)
        return self._change(self._read(), Trial(before, until_ns))

    def _confirm(self, asked: dict[str, Any]) -> Any:
        del asked
        if self._trial is None:
            raise Refused("there is nothing to confirm")
        self._trial = None
        if self._timer is not None:
            self._timer.cancel()
        log.info("configuration confirmed")
        return {"confirmed": True}

    def _undo(self) -> None:
        assert self._trial is not None
        log.warning("configuration was not confirmed: the one before comes back")
        self._begin(Change(self._trial.before, None))

    def _change(self, config: AgentConfig, trial: Trial | None) -> Any:
        changes = diff(self._agent.config, config)
        needed = action(changes)
        told = [{"where": c.where, "what": c.what, "needs": c.action.name.lower()} for c in changes]
        log.info("reload changes=%d needs=%s", len(changes), needed.name.lower())
        if needed is Action.POLICY and trial is None:
            self._agent.take_policy(config)
        elif needed is not Action.NOTHING:
            # Answer first: whoever asks is told by the agent that was asked.
            asyncio.get_running_loop().call_later(0.05, self._begin, Change(config, trial))
        return {"changes": told, "needs": needed.name.lower()}
