"""The control socket: one line asked, one answered; whatever else comes is told or cut off."""

import asyncio
import json
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from patronus.control.agent.control import SOCKET, NotRunning, Refused, Server, ask


async def handler(asked: dict[str, Any]) -> Any:
    if asked["do"] == "fail":
        raise Refused("not today")
    return asked


def served(folder: Path, client: Callable[[], Any]) -> Any:
    """Return what a client gets while a server runs."""

    async def both() -> Any:
        server = Server(folder / SOCKET, handler)
        await server.start()
        try:
            return await asyncio.to_thread(client)
        finally:
            await server.stop()

    return asyncio.run(both())


def test_a_question_is_answered(tmp_path: Path) -> None:
    """What the handler returns comes back."""
    question = {"do": "show", "what": "health"}
    assert served(tmp_path, lambda: ask(tmp_path, question)) == question


def test_a_refusal_is_told(tmp_path: Path) -> None:
    """The message of a refusal reaches whoever asked."""
    with pytest.raises(Refused, match="not today"):
        served(tmp_path, lambda: ask(tmp_path, {"do": "fail"}))


def test_the_socket_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Nobody else may connect, and it is gone with the server."""
    mode = served(tmp_path, lambda: (tmp_path / SOCKET).stat().st_mode)
    assert stat.S_IMODE(mode) == 0o600
    assert not (tmp_path / SOCKET).exists()


def test_nobody_answers(tmp_path: Path) -> None:
    """Without an agent the message says where it was looked for, and what to do."""
    with pytest.raises(NotRunning, match="patronus agent run"):
        ask(tmp_path, {"do": "show"})


@pytest.mark.parametrize("line", [b"x\n", b"[]\n", b"\xff\n", b"[" * 50_000 + b"\n"])
def test_rubbish_is_answered(tmp_path: Path, line: bytes) -> None:
    """A line that is no question gets an answer that says so."""

    def client() -> Any:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(10)
            asking.connect(str(tmp_path / SOCKET))
            asking.sendall(line)
            return json.loads(asking.makefile("rb").readline())

    assert served(tmp_path, client)["ok"] is False
