"""``patronus agent run``: from a file to an agent that runs until it is told to stop."""

import asyncio
import errno
import logging
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from patronus.control.agent.desk import Change, Desk, Trial
from patronus.control.agent.fallback import FallbackSite
from patronus.control.agent.lock import Lock, Taken
from patronus.control.agent.loop import Agent, End, Outcome
from patronus.control.agent.notify import Notifier
from patronus.control.agent.programs import NoPrograms
from patronus.control.agent.site import Site
from patronus.control.agent.wanted import Unsupported
from patronus.control.config.model import AgentConfig, Kind
from patronus.control.members.book import EnrolmentError
from patronus.control.members.identity import Identity, load_or_make
from patronus.control.members.secretfile import SecretError
from patronus.dataplane.tunnels.driver import TunnelTrouble
from patronus.dataplane.tunnels.keys import KeyTrouble
from patronus.dataplane.underlay.pinning import BadPins

CAP_NET_ADMIN: Final = 12
CAP_SYS_ADMIN: Final = 21
"""linux/capability.h; loading programs and pinning them take the second one."""

LEVELS: Final = {
    "debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING,
    "error": logging.ERROR,
}  # fmt: skip

log = logging.getLogger("patronus.agent")


class CannotStart(Exception):
    """The agent cannot run here; the message says why, and what helps."""

    def __init__(self, message: str, *, machine: bool = False) -> None:
        super().__init__(message)
        self.machine = machine
        """The configuration is not to blame: a full disk, no BPF."""


def run(config: AgentConfig, cache: Path) -> None:
    """Run until SIGTERM; the kernel goes on forwarding after that.

    Raises:
        CannotStart: with the reason.
    """
    _check_rights()
    _log_to_stderr(config.log)
    notifier = Notifier()
    with ExitStack() as held:
        try:
            held.enter_context(Lock(Path(config.state)))
        except Taken as taken:
            raise CannotStart(str(taken)) from None
        except OSError as error:
            raise _of_the_machine(error, config.state) from None
        change: Change | None = Change(config, None)
        before: AgentConfig | None = None
        while change is not None:
            try:
                following = asyncio.run(_one(change, cache, notifier))
            except CannotStart as error:
                if before is None:
                    raise
                log.error("%s; the configuration of before comes back", error)
                following, change = Change(before, None), Change(before, None)
            before = change.config
            change = following
    notifier.tell("STOPPING=1")
    log.info("stopped; the kernel goes on forwarding, `patronus agent clean` ends that")


async def _one(change: Change, cache: Path, notifier: Notifier) -> Change | None:
    """Run one configuration; return the one that follows, None to stop."""
    following: list[Change] = []
    agent: Agent

    def begin(what: Change) -> None:
        following.append(what)
        agent.finish(Outcome(End.RELOAD))

    site = _site(change.config, cache)
    trial: Trial | None = change.trial
    try:
        agent = Agent(site, notifier, lambda made: Desk(made, trial, begin))
    except OSError as error:
        raise _of_the_machine(error, change.config.site) from None
    for text in told_at_start(change.config, agent):
        log.info("%s", text)
    outcome = await agent.run()
    if outcome.end is End.STOP:
        notifier.tell("STOPPING=1")
        return None
    notifier.tell("RELOADING=1")
    return following[-1]


def _site(config: AgentConfig, cache: Path) -> Site:
    try:
        return _with_or_without(config, load_or_make(Path(config.identity)), cache)
    except NoPrograms as error:
        raise CannotStart(
            f"{error}; `dataplane: {{fallback: on}}` runs without BPF, with less", machine=True
        ) from None
    except (Unsupported, BadPins, KeyTrouble, TunnelTrouble, SecretError, EnrolmentError) as error:
        raise CannotStart(str(error), machine=_is_full(error.__cause__)) from None
    except OSError as error:
        raise _of_the_machine(error, config.state) from None


def _with_or_without(config: AgentConfig, identity: Identity, cache: Path) -> Site:
    """Return a site with BPF, and one without where there is none and that is accepted.

    Raises:
        NoPrograms: there is no BPF, and no fallback is wanted.
    """
    try:
        return Site(config, identity, cache)
    except NoPrograms as error:
        if not config.dataplane.fallback:
            raise
        log.warning("no BPF: %s", error)
        return FallbackSite(config, identity, cache)


def told_at_start(config: AgentConfig, agent: Agent) -> list[str]:
    """Return which way the agent runs, and what that costs."""
    told = [f"way: {text}" for text in agent.way]
    plain = [t.name for t in config.transports if t.kind is not Kind.WIREGUARD]
    if plain:
        told.append(
            f"plain tunnels over {', '.join(plain)} are neither secret nor authenticated: who "
            "sees their packets can forge liveness"
        )
    proven = [t.name for t in config.transports if t.proofs_ns is not None]
    if proven:
        told.append(
            f"authenticated probes over {', '.join(proven)} are stamped in user space: their round "
            "trips hold the scheduler's waits, and no tunnel is taken for dead by them"
        )
    return told


def _check_rights() -> None:
    """Refuse to start without the rights that everything needs.

    Raises:
        CannotStart: we do not have them.
    """
    status = Path("/proc/self/status").read_text()
    (line,) = (w for w in status.splitlines() if w.startswith("CapEff:"))
    rights = int(line.split()[1], 16)
    if not rights >> CAP_NET_ADMIN & 1 or not rights >> CAP_SYS_ADMIN & 1:
        raise CannotStart("the agent needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN)")


def _of_the_machine(error: OSError, where: str) -> CannotStart:
    name = error.filename or where
    return CannotStart(f"{name}: {error.strerror}", machine=_is_full(error))


def _is_full(error: BaseException | None) -> bool:
    """Tell whether a disk is to blame."""
    full = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}
    return isinstance(error, OSError) and error.errno in full


def _log_to_stderr(level: str) -> None:
    """Log one line an event; under systemd the journal has the time already."""
    stamp = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(
        stream=sys.stderr, level=LEVELS[level], format=f"{stamp}%(levelname)s %(message)s",
        force=True,
    )  # fmt: skip
