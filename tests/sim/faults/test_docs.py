"""The table of kinds in the documentation is the table that the compiler uses."""

from patronus.sim.faults.kinds import KINDS, Kind
from patronus.sim.language.faults import USES
from patronus.sim.scenario import FaultKind
from tests.rules.tree import ROOT

HEAD = "| kind | what happens | selected by | fields | verified by |"


def row(kind: FaultKind, entry: Kind) -> str:
    """Return one kind as a row of the documentation's table."""
    uses = USES[kind]
    fields = [f"`{key}`" for key in sorted(uses.needs)]
    fields += [f"(`{key}`)" for key in sorted(uses.quantities - uses.needs)]
    selected = ", ".join(sorted(uses.on - {"direction"})) + " ⇄" * entry.directed
    cells = f"`{kind}`", entry.does, selected, " ".join(fields) or "–", f"`{entry.quantity}`"
    return f"| {' | '.join(cells)} |"


def test_the_documented_kinds_are_the_compilers() -> None:
    """Every kind has its row, with the words, keys and quantity of the table in the source."""
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    shown = text.partition(HEAD)[2].split("\n\n")[0].strip().splitlines()[1:]
    assert shown == [row(kind, entry) for kind, entry in KINDS.items()]
