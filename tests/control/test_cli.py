"""The group of commands: help, start-up, and how whatever happens ends."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from patronus.control import endings
from patronus.control.cli import COMMANDS, cli
from patronus.control.commands import schema
from tests.control.command import PROGRAM, patronus, process, scenario

HEAVY = {"matplotlib", "networkx", "pandas", "pyarrow", "rich", "scipy", "simpy"}


def test_help_lists_every_command_in_order() -> None:
    """The help names the commands in the order in which one needs them."""
    told = patronus("--help")
    assert told.exit_code == 0
    names = [line.split()[0] for line in told.stdout.partition("Commands:")[2].splitlines()[1:]]
    assert names == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    """Each command says in its help what it does and what each option means."""
    told = patronus(name, "--help")
    assert told.exit_code == 0
    with click.Context(cli) as context:
        command = cli.get_command(context, name)
    assert command is not None
    assert command.help
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def test_version() -> None:
    """``--version`` tells the version of the installed package."""
    told = patronus("--version")
    assert (told.exit_code, told.stdout) == (0, "patronus 0.1.0\n")


def modules(*words: str) -> set[str]:
    """Return the top-level modules that a command imports."""
    code = (
        "import sys\nfrom patronus.control.cli import cli\n"
        f"try:\n    cli.main({list(words)!r})\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write(' '.join({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_imports_nothing_heavy() -> None:
    """The help comes at once: no library but click is loaded for it."""
    found = modules("--help")
    assert not found & (HEAVY | {"numpy", "ruamel"})
    assert "click" in found


def test_check_imports_neither_tables_nor_the_world(tmp_path: Path) -> None:
    """``check`` compiles a scenario without the libraries that only a run needs."""
    found = modules("check", str(scenario(tmp_path)))
    assert not found & HEAVY
    assert "numpy" in found


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb", "NO_COLOR": ""}, False),
        ({"TERM": "", "NO_COLOR": ""}, False),
    ],
)
def test_colours_only_where_they_are_wanted(
    tmp_path: Path, environment: dict[str, str], coloured: bool
) -> None:
    """A terminal that knows no colours gets none, and neither does who wants none."""
    words = ["golden", str(scenario(tmp_path))]
    told = CliRunner().invoke(cli, words, color=True, env=environment)
    assert "nothing was agreed yet" in told.stdout
    assert ("\x1b[" in told.stdout) is coloured


def test_an_unknown_command_is_near_another() -> None:
    """A misspelt command is bad input, with the one that was perhaps meant."""
    told = patronus("rnu", "x.patronus.yml")
    assert told.exit_code == endings.BAD_INPUT
    assert "no such command 'rnu'; did you mean `run`?" in told.stderr
    assert told.stderr.endswith("Reproduce: patronus rnu x.patronus.yml\n")


def test_a_bug_shows_its_trace_and_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw leaves with 70, a traceback, and the command to reproduce it."""

    def broken(agent: bool) -> int:
        raise ZeroDivisionError("by nobody foreseen")

    monkeypatch.setattr(schema.command, "callback", broken)
    told = patronus("schema")
    assert told.exit_code == endings.BUG == 70
    assert "ZeroDivisionError: by nobody foreseen" in told.stderr
    assert "Traceback" in told.stderr
    assert told.stderr.endswith("Reproduce: patronus schema\n")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted before it was finished"),
        (MemoryError(), 4, "there is not enough memory for this; nothing is concluded"),
        (OSError(28, "No space left on device"), 4, "cannot write: No space left on device"),
        (BrokenPipeError(32, "Broken pipe"), 141, "whoever read this output went away"),
        (endings.Failure("no such thing"), 2, "no such thing"),
    ],
)
def test_what_is_foreseen_is_one_message(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    """Foreseen ends have their exit code, one line, the command, and no traceback."""

    def broken(agent: bool) -> int:
        raise error

    monkeypatch.setattr(schema.command, "callback", broken)
    monkeypatch.setattr(endings, "_let_go_of_output", lambda: None)
    told = patronus("schema")
    assert told.exit_code == code
    line, again = told.stderr.strip().splitlines()
    assert line.startswith(f"patronus: {message}")
    assert again == "Reproduce: patronus schema"


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    """When nobody reads the output any more, one line says so and no trace is shown."""
    with subprocess.Popen(
        [PROGRAM, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        told = running.stderr.read()
    assert running.returncode == endings.READER_GONE
    assert told.splitlines() == [
        "patronus: whoever read this output went away before its end",
        "Reproduce: patronus schema",
    ]


def test_output_without_room() -> None:
    """Output that cannot be written is no success."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [PROGRAM, "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == endings.INVALID
    assert done.stderr.splitlines()[0] == "patronus: cannot write: No space left on device"


def test_the_command_to_reproduce_is_quoted() -> None:
    """Odd words are quoted, so the line can be pasted into a shell."""
    told = patronus("check", "a b.patronus.yml", "--set", "name=x y")
    assert told.stderr.endswith("Reproduce: patronus check 'a b.patronus.yml' --set 'name=x y'\n")


def test_the_worst_end_counts() -> None:
    """Over several scenarios an interruption outweighs a failure, and that a doubt."""
    assert endings.worst([0, 3, 1]) == 1
    assert endings.worst([0, 3]) == 3
    assert endings.worst([1, 130]) == 130
    assert endings.worst([0, 0]) == endings.worst([]) == 0


def test_shell_completion_still_works() -> None:
    """The completion that click offers is not lost behind our own ending."""
    done = process(COMP_WORDS="patronus sch", COMP_CWORD="1", _PATRONUS_COMPLETE="bash_complete")
    assert "schema" in done.stdout
