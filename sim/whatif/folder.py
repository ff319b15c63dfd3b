"""What a study leaves on disk: ``whatif.json``, ``report.html`` and ``exposures.parquet``."""

from pathlib import Path

import pandas as pd

from patronus.sim.folder import SCHEMAS, complete, write_json
from patronus.sim.run import FAILOVERS
from patronus.sim.whatif.findings import Findings
from patronus.sim.whatif.page import page


def write(findings: Findings, directory: Path) -> None:
    """Write a study into a new folder, whole or not at all.

    Raises:
        FolderError: it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with complete(directory) as partial:
        write_json(partial / "whatif.json", findings.record())
        (partial / "report.html").write_text(page(findings), encoding="utf-8")
        schema = SCHEMAS["failovers"].insert(0, pa.field("failure", pa.string()))
        rows = pa.Table.from_pandas(exposures(findings), schema=schema, preserve_index=False)
        pq.write_table(rows.replace_schema_metadata(None), partial / "exposures.parquet")


def exposures(findings: Findings) -> pd.DataFrame:
    """Return the exposures of all failures, columns ``failure`` and ``run.FAILOVERS``."""
    frames = [
        o.frame.assign(failure=o.id)
        for o in findings.outcomes
        if o.frame is not None and len(o.frame)
    ]
    columns = ["failure", *FAILOVERS]
    return pd.concat(frames)[columns] if frames else pd.DataFrame(columns=columns)
