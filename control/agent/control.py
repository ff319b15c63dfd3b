"""The control socket: one JSON object a line, asked and answered, for root alone.

    {"do": "show", "what": "health"}     {"ok": true, "result": …}
    {"do": "drain", "name": "lte"}       {"ok": false, "error": "…"}

Questions are short, so a longer line ends the connection, and so does silence.
"""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

SOCKET: Final = "agent.sock"
LINE_BYTES_MAX: Final = 65_536
SILENCE_S: Final = 60.0
CONNECTIONS_MAX: Final = 32

Handler = Callable[[dict[str, Any]], Awaitable[Any]]


class Refused(Exception):
    """What was asked for cannot be done; the message is for who asked."""


class Server:
    """Answers on one socket."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self.path, self._handler = path, handler
        self._server: asyncio.Server | None = None
        self._open = 0

    async def start(self) -> None:
        """Listen; a socket that a killed agent left is replaced.

        Raises:
            OSError: the folder cannot be written to.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        before = os.umask(0o177)
        try:
            listener.bind(str(self.path))
        except OSError:
            listener.close()
            raise
        finally:
            os.umask(before)
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listener, limit=LINE_BYTES_MAX
        )

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            with suppress(OSError):  # the folder may be read-only by now
                self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            while self._open <= CONNECTIONS_MAX:
                line = await asyncio.wait_for(reader.readline(), SILENCE_S)
                if not line:
                    return
                answer = await self._answer(line)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, ValueError, OSError):
            return
        finally:
            self._open -= 1
            with suppress(OSError):
                writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(line)
            if not isinstance(asked, dict):
                raise Refused("a question is a JSON object")
            return {"ok": True, "result": await self._handler(asked)}
        except (Refused, LookupError) as refused:
            return {"ok": False, "error": str(refused.args[0] if refused.args else refused)}
        except (ValueError, RecursionError):
            return {"ok": False, "error": "this is no JSON"}


class NotRunning(Exception):
    """No agent answers; the message says where it was looked for."""


def ask(folder: Path, question: dict[str, Any], *, seconds: float = 30.0) -> Any:
    """Ask the agent whose socket is in a folder.

    Raises:
        NotRunning: nobody answers there.
        Refused: it does not do what is asked.
    """
    path = folder / SOCKET
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(seconds)
            asking.connect(str(path))
            asking.sendall(json.dumps(question).encode() + b"\n")
            with asking.makefile("rb") as answers:
                line = answers.readline()
    except PermissionError:
        raise NotRunning(f"{path} is for root alone") from None
    except TimeoutError:
        raise NotRunning(f"the agent at {path} does not answer within {seconds:g} s") from None
    except OSError as error:
        raise NotRunning(
            f"no agent runs: {path}: {error.strerror}; start it with `patronus agent run`"
        ) from None
    if not line:
        raise NotRunning(f"the agent at {path} went away before it answered")
    answer = json.loads(line)
    if not answer["ok"]:
        raise Refused(answer["error"])
    return answer["result"]
