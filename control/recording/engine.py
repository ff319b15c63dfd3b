"""An engine whose inputs are recorded; to its driver it is an engine like any other."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from patronus.control.recording.recorder import Recorder
from patronus.control.recording.verbs import VERBS
from patronus.engine.engine import Engine
from patronus.engine.fingerprint import U64
from patronus.engine.output import Output
from patronus.engine.overlay import Overlay
from patronus.engine.policy import Policy


class RecordedEngine(Engine):
    """Tells a recorder each input before it acts on it, and what it decided thereupon."""

    def __init__(
        self,
        overlay: Overlay,
        policy: Policy,
        *,
        recorder: Recorder,
        fates: U64 | None = None,
        sink: Callable[[bytes], object] | None = None,
    ) -> None:
        """Create the engine and begin to record; arguments are those of ``Engine``.

        There is no selector: another one than the engine's own could not be found again.
        """

        def tell(line: bytes) -> None:
            recorder.decided(line)
            if sink is not None:
                sink(line)

        super().__init__(overlay, policy, fates=fates, sink=tell)
        self.recorder = recorder
        recorder.start(self)

    def take(self) -> Output:
        """Return what has to be done and forget it."""
        output = super().take()
        self.recorder.wanted(output)
        return output

    @property
    def recording(self) -> bool:
        """Off during the warm-up: decisions are taken but not journalled."""
        return self.moves.recording

    @recording.setter
    def recording(self, on: bool) -> None:
        self.recorder.told("recording", (), {"on": on})
        self.moves.recording = on
        self.recorder.done(self)


def _tapped(name: str) -> Callable[..., Any]:
    real = getattr(Engine, name)

    @wraps(real)
    def verb(self: RecordedEngine, *arguments: Any, **named: Any) -> Any:
        self.recorder.told(name, arguments, named)
        try:
            outcome = real(self, *arguments, **named)
        except Exception as error:
            self.recorder.refused(error)
            raise
        self.recorder.done(self)
        return outcome

    return verb


for _name in VERBS.keys() - {"recording"}:
    setattr(RecordedEngine, _name, _tapped(_name))
