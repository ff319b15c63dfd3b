"""Numbers, texts and arrays as bytes: canonical (equal values, equal bytes) and small.

Integers are variable-length, signed ones folded (0, -1, 1, -2 …). An array is written as its
smallest element and the distances from it in 0, 1, 2, 4 or 8 bytes: time stamps of one batch
and counters of many tunnels lie close together.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from patronus.control.recording.frames import RecordingError

Array = npt.NDArray[Any]

ELEMENTS_MOST: Final = 1 << 25
"""Arrays of one record that claim more are no honest ones (elements of width 0 take no bytes)."""

_DTYPES: Final = tuple(
    np.dtype(name) for name in ("bool", "int8", "int16", "int32", "int64", "uint64")
)
_CODE: Final = {dtype: code for code, dtype in enumerate(_DTYPES)}
_WIDTHS: Final = (0, 1, 2, 4, 8)
_WORD: Final = (1 << 64) - 1


class Packer:
    """Collects values."""

    def __init__(self) -> None:
        self._out = bytearray()

    def __bytes__(self) -> bytes:
        return bytes(self._out)

    def count(self, number: int) -> None:
        """Add an integer that is not negative."""
        while number > 0x7F:
            self._out.append(number & 0x7F | 0x80)
            number >>= 7
        self._out.append(number)

    def number(self, number: int) -> None:
        """Add an integer."""
        self.count(number << 1 if number >= 0 else (-number << 1) - 1)

    def raw(self, data: bytes) -> None:
        """Add bytes."""
        self.count(len(data))
        self._out += data

    def text(self, text: str) -> None:
        """Add a text."""
        self.raw(text.encode())

    def array(self, array: Array) -> None:
        """Add an array of integers or truth values."""
        self.count(_CODE[array.dtype])
        self.count(array.ndim)
        for length in array.shape:
            self.count(length)
        if not array.size:
            return
        least = int(array.min())
        width = _width(int(array.max()) - least)
        self.number(least)
        self.count(width)
        if width:
            distances = _words(array) - np.uint64(least & _WORD)
            self._out += distances.astype(f"<u{width}").tobytes()


def _words(array: Array) -> npt.NDArray[np.uint64]:
    """Return an array modulo 2^64, flat."""
    flat = array.ravel()
    if array.dtype == np.uint64:
        return flat
    return flat.astype(np.int64).view(np.uint64)


def _width(span: int) -> int:
    return next(width for width in _WIDTHS if span < 1 << (8 * width))


class Unpacker:
    """Takes values out again; whatever the bytes are, the only error is ``RecordingError``."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self._elements = 0

    @property
    def left(self) -> int:
        """Bytes that were not taken yet."""
        return len(self._data) - self._at

    def _take(self, size: int) -> bytes:
        if size > self.left:
            raise RecordingError("a record ends too early")
        self._at += size
        return self._data[self._at - size : self._at]

    def count(self) -> int:
        """Take an integer that is not negative."""
        number = shift = 0
        while (byte := self._take(1)[0]) > 0x7F:
            number |= (byte & 0x7F) << shift
            shift += 7
            if shift > 70:
                raise RecordingError("an integer is too long")
        return number | byte << shift

    def number(self) -> int:
        """Take an integer."""
        folded = self.count()
        return -((folded + 1) >> 1) if folded & 1 else folded >> 1

    def raw(self) -> bytes:
        """Take bytes."""
        return self._take(self.count())

    def text(self) -> str:
        """Take a text."""
        try:
            return self.raw().decode()
        except UnicodeDecodeError:
            raise RecordingError("a text is not UTF-8") from None

    def array(self) -> Array:
        """Take an array; it can be written to."""
        code, dimensions = self.count(), self.count()
        if code >= len(_DTYPES) or dimensions > 4:
            raise RecordingError("an array of an unknown kind")
        shape = tuple(self.count() for _ in range(dimensions))
        size = 1
        for length in shape:
            size *= length
        self._elements += size
        if max(self._elements, *shape, 0) > ELEMENTS_MOST:
            raise RecordingError("an array is too large")
        if not size:
            return np.zeros(shape, dtype=_DTYPES[code])
        least, width = self.number(), self.count()
        if width not in _WIDTHS:
            raise RecordingError("an array of an unknown width")
        words = np.full(size, least & _WORD, dtype=np.uint64)
        if width:
            words += np.frombuffer(self._take(size * width), dtype=f"<u{width}")
        whole = words if _DTYPES[code] == np.uint64 else words.view(np.int64)
        return whole.astype(_DTYPES[code]).reshape(shape)

    def end(self) -> None:
        """Check that nothing is left.

        Raises:
            RecordingError: something is.
        """
        if self.left:
            raise RecordingError("a record goes on after its end")
