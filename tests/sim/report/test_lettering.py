"""Names on the map stand beside their dots and over nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from patronus.sim.report.lettering import DOT, LETTER, LINE, Lettering

SHARE = st.floats(0, 1)
DOTS = st.lists(st.tuples(SHARE, SHARE), min_size=1, max_size=25)

Room = tuple[float, float, float, float]


def apart(a: Room, b: Room) -> bool:
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


@given(DOTS)
def test_names_cover_neither_names_nor_dots(dots: list[tuple[float, float]]) -> None:
    """However dots lie, no name that is placed overlaps another name, a dot, or the edge."""
    width, height = 400.0, 300.0
    lettering = Lettering(width, height, dots, [])
    taken = [
        (x * width - DOT, y * height - DOT, x * width + DOT, y * height + DOT) for x, y in dots
    ]
    for x, y in dots:
        if beside := lettering.find("amsterdam", x, y):
            length = LETTER * len("amsterdam")
            back = {"start": 0.0, "end": length, "middle": length / 2}[beside.anchor]
            left, base = x * width + beside.dx - back, y * height + beside.dy
            room = (left, base - LINE + 3, left + length, base + 3)
            assert all(apart(room, other) for other in taken)
            assert room[0] >= 0 <= room[1]
            assert room[2] <= width
            assert room[3] <= height
            taken.append(room)


def test_names_keep_off_lines_where_they_can() -> None:
    """With a line to the right of a dot its name stands on the left."""
    line = ((0.5, 0.5), (1.0, 0.5))
    free = Lettering(400, 300, [(0.5, 0.5)], [])
    crossed = Lettering(400, 300, [(0.5, 0.5)], [line])
    assert (choice := free.find("oslo", 0.5, 0.5)) is not None
    assert choice.anchor == "start"
    assert (choice := crossed.find("oslo", 0.5, 0.5)) is not None
    assert choice.anchor == "end"


def test_an_important_name_may_cover_dots_but_no_name() -> None:
    """Among dense dots only important names are placed, and they keep apart from each other."""
    crowd = [(0.5 + 0.02 * i, 0.5 + 0.03 * j) for i in range(-9, 9) for j in range(-9, 9)]
    lettering = Lettering(400, 300, crowd, [])
    assert lettering.find("frankfurt", 0.5, 0.5) is None
    first = lettering.find("frankfurt", 0.5, 0.5, important=True)
    second = lettering.find("frankfurt", 0.5, 0.5, important=True)
    assert first is not None
    assert first != second


def test_a_line_that_passes_by_does_not_matter() -> None:
    """A line whose frame overlaps a name without crossing it does not move the name."""
    past = ((0.45, 0.8), (0.9, 0.45))
    choice = Lettering(400, 300, [(0.5, 0.5)], [past]).find("oslo", 0.5, 0.5)
    assert choice is not None
    assert choice.anchor == "start"
