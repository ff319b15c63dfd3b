"""One tunnel, watched instant by instant: silent when the last proof is too old."""

from collections.abc import Collection, Mapping


def edges(
    stamps: Collection[int], cuts: Collection[int], detect: Mapping[int, int], end: int
) -> list[tuple[int, str]]:
    """Return (time, "expire" or "confirm") of a row that was heard at 0, until before ``end``.

    ``detect`` holds the detect time from some instants on. At a cut the proof is void at
    once; a proof of the same instant comes after it. Silence ends with a proof only.
    """
    found = []
    last, limit, silent = 0, detect[0], False
    for now in range(end):
        limit = detect.get(now, limit)
        void = now in cuts
        if not silent and (void or now - last > limit):
            silent = True
            found.append((now, "expire"))
        if now in stamps and (silent or now > last):
            last = now
            if silent:
                silent = False
                found.append((now, "confirm"))
    return found
