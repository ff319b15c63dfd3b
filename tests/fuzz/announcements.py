"""Fuzz everything that reads what other sites send: ``make fuzz-announcements``.

The first byte of an input chooses the target. It stops at the first finding, whose input
is then kept in a file that is named; give that file as the argument to see it again.
Arguments are those of libFuzzer, for example ``-max_total_time=600``.
"""

import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit(
        "atheris is not installed here. It is no part of the tests' environment, since it has no "
        "build for every Python; where there is one, `pip install atheris` brings it. "
        "FUZZ_PYTHON names the interpreter to use: make fuzz-announcements FUZZ_PYTHON=..."
    )

with atheris.instrument_imports(include=["patronus"]):
    from tests.fuzz.targets import seeds, targets

TARGETS = list(targets().values())


def one_input(data: bytes) -> None:
    """Throw one input at the target that it names."""
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


def main() -> None:
    """Fuzz until stopped, beginning with one good input for each target."""
    with tempfile.TemporaryDirectory() as corpus:
        for target in range(len(TARGETS)):
            for number, seed in enumerate(seeds()):
                Path(corpus, f"{target}-{number}").write_bytes(bytes([target]) + seed)
        atheris.Setup([*sys.argv, "-max_len=2500", corpus], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
