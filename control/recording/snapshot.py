"""The whole state of an engine as bytes, and back: exact, canonical, and no more than data.

The objects of an engine are walked from attribute to attribute in order of their names.
Arrays, numbers, texts and containers of them are written; what follows from the overlay and
the policy alone stays what the new engine has made of them. An array or object that is held
in two places is written once, so that it is one again afterwards. Nothing in the bytes names
code: what is not made of the classes below is refused.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from patronus.control.recording.codec import Packer, Unpacker
from patronus.control.recording.frames import RecordingError
from patronus.control.recording.plain import policy_bytes, policy_of
from patronus.engine.announcement import Announcement, decode, encode
from patronus.engine.engine import Engine
from patronus.engine.forwarding import ForwardingDelta
from patronus.engine.heralds import _Said
from patronus.engine.output import Output
from patronus.engine.overlay import Overlay
from patronus.engine.policy import Policy
from patronus.engine.reach import Reach

_MADE: Final = {cls.__name__: cls for cls in (ForwardingDelta, Output, Reach, _Said)}
"""Records that come and go; all other objects are there from the start."""

_CACHES: Final = {"_columns", "_site", "_sink"}
"""Attributes that are found again when they are asked for, and the way of the journal."""

_GROWING: Final = {
    **{("Knowledge", f"_{name}"): 0
       for name in ("announces", "usable", "figures", "verdict", "worst", "offer")},
    ("Tunnels", "fates"): 1,
}  # fmt: skip
"""Arrays of which one axis follows from what has happened: contents held, words of risks."""

_SCALARS: Final = (bool, int, str)
_STATIC, _AGAIN, _NONE, _ARRAY, _LIST, _TUPLE, _DICT, _POLICY, _LETTER, _OBJECT = range(10)
_FIRST_SCALAR: Final = 10


def _attributes(thing: Any) -> Iterator[str]:
    """Yield the names of an object's attributes in order."""
    slots = {name for cls in type(thing).__mro__ for name in getattr(cls, "__slots__", ())}
    names = {name for name in slots if hasattr(thing, name)} | vars_of(thing).keys()
    yield from sorted(names - _CACHES)


def vars_of(thing: Any) -> dict[str, Any]:
    """Return what an object keeps beside its slots."""
    found: dict[str, Any] = getattr(thing, "__dict__", {})
    return found


def _walked(thing: Any) -> bool:
    """Tell whether an object is a part of an engine that has a state."""
    module = type(thing).__module__
    return module.startswith("patronus.engine.") and not isinstance(thing, Overlay)


def _static(thing: Any) -> bool:
    """Tell whether the new engine has the same: its overlay, functions, and hashes begun anew."""
    return isinstance(thing, Overlay) or callable(thing) or type(thing).__name__ == "HASH"


def parts(engine: Engine) -> dict[str, Any]:
    """Return the attributes of an engine itself, without those of a subclass."""
    own = ("overlay", "policy")
    known = vars(engine)
    return {name: known[name] for name in sorted(known) if name not in own and name in PARTS}


PARTS: Final = frozenset(
    """
    _attention _heralds _out _transit configured drained journal knowledge lan_up meters moves
    programmed_generation ranking space state steering tunnels
    """.split()
)
"""Attributes of an engine; a test compares them with what an engine has."""


def save(engine: Engine) -> bytes:
    """Return the state of an engine."""
    saver = _Saver()
    saver.mapping(parts(engine))
    return bytes(saver.out)


def restore(engine: Engine, data: bytes) -> None:
    """Bring a new engine of the same overlay and policy into a state.

    Raises:
        RecordingError: the bytes are no state of such an engine.
    """
    restorer = _Restorer(Unpacker(data), engine)
    try:
        for name, value in restorer.mapping(parts(engine)).items():
            setattr(engine, name, value)
        restorer.given.end()
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise RecordingError(f"the state cannot be taken over: {error}") from None


class _Saver:
    def __init__(self) -> None:
        self.out = Packer()
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []
        """So that no id is given out twice meanwhile."""

    def mapping(self, values: dict[str, Any]) -> None:
        self.out.count(len(values))
        for name, value in values.items():
            self.out.text(name)
            self.value(value)

    def value(self, value: Any) -> None:
        if value is None:
            self.out.count(_NONE)
        elif type(value) in _SCALARS:
            self.out.count(_FIRST_SCALAR + _SCALARS.index(type(value)))
            self.out.text(value) if isinstance(value, str) else self.out.number(value)
        elif id(value) in self._seen:
            self.out.count(_AGAIN)
            self.out.count(self._seen[id(value)])
        else:
            self._new(value)

    def _new(self, value: Any) -> None:
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        for kind, test, add in _KINDS:
            if test(value):
                self.out.count(kind)
                add(self, value)
                return
        if not _static(value):
            raise TypeError(f"an engine's state holds a {type(value).__name__}, which is not known")
        self.out.count(_STATIC)

    def items(self, values: Any) -> None:
        self.out.count(len(values))
        for value in values:
            self.value(value)

    def pairs(self, values: dict[Any, Any]) -> None:
        self.items([part for pair in values.items() for part in pair])

    def thing(self, thing: Any) -> None:
        self.out.text(type(thing).__name__)
        self.mapping({name: getattr(thing, name) for name in _attributes(thing)})


_KINDS: Final[tuple[tuple[int, Callable[[Any], bool], Callable[[_Saver, Any], None]], ...]] = (
    (_ARRAY, lambda v: isinstance(v, np.ndarray), lambda to, v: to.out.array(v)),
    (_LIST, lambda v: type(v) is list, _Saver.items),
    (_TUPLE, lambda v: type(v) is tuple, _Saver.items),
    (_DICT, lambda v: type(v) is dict, _Saver.pairs),
    (_POLICY, lambda v: isinstance(v, Policy), lambda to, v: to.out.raw(policy_bytes(v))),
    (_LETTER, lambda v: isinstance(v, Announcement), lambda to, v: to.out.raw(encode(v))),
    (_OBJECT, _walked, _Saver.thing),
)
"""How what is not a plain value is told from the others, and written."""


def _fixed(array: Any, grows: int | None) -> list[int]:
    """Return the lengths of an array along the axes that do not grow, and how many axes it has."""
    return [array.ndim, *(n for axis, n in enumerate(array.shape) if axis != grows)]


class _Restorer:
    """Reads values; ``old`` is always what the new engine has at that place."""

    def __init__(self, given: Unpacker, engine: Engine) -> None:
        self.given, self._engine = given, engine
        self._made: list[Any] = []

    def mapping(self, old: dict[str, Any], owner: str = "") -> dict[str, Any]:
        """Return values by name; the names must be those that there are.

        ``owner`` is the kind of object that has them.
        """
        count, values = self.given.count(), {}
        for _ in range(min(count, self.given.left)):
            name = self.given.text()
            if name not in old:
                raise RecordingError(f"there is no part {name[:40]!r}")
            values[name] = self.value(old[name], _GROWING.get((owner, name)))
        if values.keys() != old.keys():
            raise RecordingError("parts are missing")
        return values

    def value(self, old: Any, grows: int | None = None) -> Any:
        """Return one value; along the axis ``grows`` an array may have another length."""
        kind = self.given.count()
        if kind == _NONE:
            return None
        if kind >= _FIRST_SCALAR:
            return self._scalar(kind - _FIRST_SCALAR)
        if kind == _AGAIN:
            number = self.given.count()
            if number >= len(self._made):
                raise RecordingError("a value stands before its first place")
            return self._made[number]
        place = len(self._made)
        self._made.append(old)
        self._made[place] = self._new(kind, old, grows)
        return self._made[place]

    def _scalar(self, number: int) -> Any:
        if number >= len(_SCALARS):
            raise RecordingError("a value of an unknown kind")
        return self.given.text() if _SCALARS[number] is str else _SCALARS[number](
            self.given.number()
        )  # fmt: skip

    def _new(self, kind: int, old: Any, grows: int | None) -> Any:
        match kind:
            case 0:  # _STATIC
                return old
            case 3:
                return self._array(old, grows)
            case 4 | 5 | 6:
                return self._container(kind, old)
            case 7:
                policy = policy_of(self.given.raw())
                return self._engine.policy if policy == self._engine.policy else policy
            case 8:
                return decode(self.given.raw())
            case 9:
                return self._object(old)
        raise RecordingError("a value of an unknown kind")

    def _array(self, old: Any, grows: int | None) -> Any:
        new = self.given.array()
        if isinstance(old, np.ndarray):
            if old.dtype != new.dtype or _fixed(old, grows) != _fixed(new, grows):
                raise RecordingError("an array of another kind")
            if old.shape == new.shape and old.flags.writeable:
                old[...] = new  # what looks at a part of it goes on looking at it
                return old
        return new

    def _container(self, kind: int, old: Any) -> Any:
        count = self.given.count()
        if count > self.given.left:
            raise RecordingError("a record ends too early")
        before = old if isinstance(old, list | tuple) and len(old) == count else [None] * count
        values = [self.value(item) for item in before]
        if kind == _DICT:
            return dict(zip(values[::2], values[1::2], strict=True))
        return values if kind == _LIST else tuple(values)

    def _object(self, old: Any) -> Any:
        name = self.given.text()
        if type(old).__name__ == name and _walked(old):
            thing, before = old, {key: getattr(old, key) for key in _attributes(old)}
        elif name in _MADE:
            thing = object.__new__(_MADE[name])
            before = dict.fromkeys(sorted(_MADE[name].__slots__))
        else:
            raise RecordingError(f"there is no part of the kind {name[:40]!r}")
        for key, value in self.mapping(before, name).items():
            if value is not before[key]:
                object.__setattr__(thing, key, value)
        return thing
