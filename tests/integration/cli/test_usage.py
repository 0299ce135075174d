"""Wrong usage: one message with every fault, in one form, that says what was probably meant."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.cli import COMMANDS, GROUP, main
from batcher.cli.command import Command
from batcher.cli.faults import find_near
from batcher.cli.parameters import Argument, Option

FAULTY = {
    "write gone s4://b --skip-to x --fanout 3 --compresion gzp --json=1 --deadline-margin-s 1 "
    "--max-bytes": [
        "--compresion: no such option; did you mean --compression?",
        "--json: takes no value",
        "--deadline-margin-s: batcher write does not use this setting; leave it out",
        "--max-bytes: needs a value",
        "DESTINATION: 's4://b' ",
        "--fanout: 3 is not a power of two",
        "--skip-to: 'x' is not FILE:LINE",
        "input gone: No such file",
    ],
    "write --log-format xml": [
        "INPUT: required; ",
        "DESTINATION: required; ",
        "--log-format: unknown value 'xml'; choose one of: text, json",
    ],
    "ls s4://b more --sinc 1h --until later --concurrency x --quiet=yes": [
        "--sinc: no such option; did you mean --since?",
        "--quiet: takes no value",
        "more: unexpected argument",
        "PLACE: 's4://b' ",
        "--concurrency: 'x' is not a whole number",
        "--until: cannot parse 'later'",
    ],
    "cat s4://b --limt 3 --limit many --since x --region !": [
        "--limt: no such option; did you mean --limit?",
        "PLACE: 's4://b' ",
        "--region: '!' ",
        "--since: cannot parse 'x'",
        "--limit: 'many' is not a number of records",
    ],
    "verify s4://b more --allow-overlap --concurrency 0": [
        "--allow-overlap: no such option; did you mean --allow-overlaps?",
        "more: unexpected argument",
        "PLACE: 's4://b' ",
        "--concurrency: 0 is out of range",
    ],
    "replay s4://b --reason kpl --reason tolarge --since x --transform x --to-queue x --tags 3": [
        "--reason: unknown value 'kpl'",
        "--reason: unknown value 'tolarge'; did you mean 'too_large'?",
        "--since: cannot parse 'x'",
        "DESTINATION: 's4://b' ",
        "--tags: '3' is not a JSON object",
        "--transform: 'x' names no function",
        "--to-queue: ",
    ],
    "plan more --recrods-per-s 5 --source sq --record-bytes x --fanout 3 --sample gone": [
        "--recrods-per-s: no such option; did you mean --records-per-s?",
        "more: unexpected argument",
        "--sample: gone: ",
        "--fanout: 3 is not a power of two",
    ],
    "check s4://b more --fuction f --linger-s x": [
        "--fuction: no such option; did you mean --function?",
        "more: unexpected argument",
        "DESTINATION: 's4://b' ",
        "--linger-s: 'x' is not a number",
    ],
    "ddl s4://b --engine atena --fanouts x --values x --since x --columns x": [
        "--engine: unknown value 'atena'; did you mean 'athena'?",
        "PLACE: 's4://b' ",
        "--fanouts: 'x' is not a list of numbers",
        "--values: 'x' names no column",
        "--since: 'x' is not a date",
    ],
    "ddl": ["PLACE: required; ", "--engine: required; choose one of: athena, "],
    "demo more --s3 host --kep": [
        "--kep: no such option; did you mean --keep?",
        "more: unexpected argument",
        "--s3: needs a bucket",
        "--s3: 'host' is not an endpoint",
    ],
    "completion": ["SHELL: required; choose one of: bash, zsh, fish"],
    "completion bush more": ["more: unexpected argument", "SHELL: unknown value 'bush'"],
}
"""Usages of every command, each with the start of every fault."""


def command_of(name: str) -> Command:
    command = GROUP.get_command(GROUP.make_context("batcher", [name]), name)
    assert isinstance(command, Command)
    return command


def options_of(command: Command) -> Iterator[tuple[str, Option]]:
    for each in command.params:
        if isinstance(each, Option):
            yield from ((name, each) for name in each.opts if name.startswith("--"))


def faults_of(command: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Run a command whose usage is wrong, and return the faults in its message."""
    words = shlex.split(command)
    assert main(words) == 2
    printed = capsys.readouterr()
    first, *faults, last = printed.err.splitlines()
    assert printed.out == ""
    assert first == f"batcher {words[0]}: wrong usage or settings:"
    assert last == f"try 'batcher {words[0]} --help'"
    assert all(fault.startswith("  - ") for fault in faults)
    return [fault.removeprefix("  - ") for fault in faults]


@pytest.mark.parametrize("command", FAULTY)
def test_every_fault_is_in_one_message(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each once, and no other: an unknown option's value is taken for no argument."""
    found = faults_of(command, capsys)
    for fault in FAULTY[command]:
        assert sum(each.startswith(fault) for each in found) == 1, (fault, found)
    if not command.startswith(("plan", "ddl s4")):  # their own checks find several faults of one
        assert len(found) == len(FAULTY[command]), found


def test_usages_of_every_command_are_tested() -> None:
    assert {command.partition(" ")[0] for command in FAULTY} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_mistyped_option_is_found_again(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A letter less, and the start alone, as other programs accept it."""
    for option, spec in options_of(command_of(name)):
        for typed in {f"{option[:-2]}{option[-1]}", option[: len(option) // 2 + 2]}:
            names = [each for each, _ in options_of(command_of(name))]
            if typed in names or len(option) < 6:
                continue
            flag = spec.is_flag or spec.count
            (fault, *_) = faults_of(f"{name} {typed}{'' if flag else ' 1'}", capsys)
            assert fault.startswith(f"{typed}: no such option; did you mean --"), fault
            if typed == f"{option[:-2]}{option[-1]}":
                assert option in fault


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("wirte", "wirte: no such command; did you mean write?"),
        ("vrify s3://b", "vrify: no such command; did you mean verify?"),
        ("frobnicate", "frobnicate: no such command"),
        ("--versoin", "--versoin: no such option; did you mean --version?"),
        ("-q write", "-q: no such option; options come after the command"),
    ],
)
def test_what_stands_where_a_command_should_is_one_fault(
    words: str, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    assert capsys.readouterr().err == (
        f"batcher: wrong usage or settings:\n  - {fault}\ntry 'batcher --help'\n"
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--by", ["--partition-by"]),
        ("--rate", ["--prefix-rate"]),
        ("--size", ["--part-size"]),
        ("--comp", ["--compression", "--compression-level"]),
        ("--lingre-s", ["--linger-s"]),
        ("--to", []),
        ("--hour", []),
        ("--date", []),
        ("--output", []),
        ("--file", []),
    ],
)
def test_an_option_is_suggested_only_if_it_was_probably_meant(typed: str, meant: list[str]) -> None:
    names = [option for option, _ in options_of(command_of("write"))]
    assert find_near(typed, names) == meant


def test_faults_have_the_names_that_were_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option's, a variable's unless an option beats it, or that of an argument."""
    file = tmp_path / "file"
    file.touch()
    (fault,) = faults_of(f"ls {file}", capsys)
    assert fault.startswith(f"PLACE: {file} is a file")
    (fault,) = faults_of(f"write - {file}", capsys)
    assert fault.startswith(f"DESTINATION: {file} is a file")
    other, fault = sorted(faults_of(f"write - {file} --fanout 3", capsys))
    assert other.startswith("--fanout: ")
    assert fault.startswith(f"DESTINATION: {file} is a file")
    (fault,) = faults_of("write - s3://B!/x", capsys)
    assert fault.startswith("DESTINATION: ")
    monkeypatch.setenv("BATCHER_FANOUT", "3")
    (fault,) = faults_of("write - file://out", capsys)
    assert fault.startswith("BATCHER_FANOUT: 3 is not a power of two")
    (fault,) = faults_of("write - file://out --fanout 5", capsys)
    assert fault.startswith("--fanout: 5 is not a power of two")
    missing, fault = faults_of("check", capsys)
    assert missing.startswith("DESTINATION: required")
    assert fault.startswith("BATCHER_FANOUT: ")


def test_quiet_and_verbose_contradict_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    (fault,) = faults_of("ls file://. -q -v", capsys)
    assert fault.startswith("--quiet: contradicts --verbose; ")


def test_a_value_of_a_short_flag_is_refused_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "-q: takes no value" in faults_of("ls file://x -q=1", capsys)


@pytest.mark.parametrize("unknown", ["--colour s4://b", "--colour=s4://b", "-C s4://b"])
def test_the_value_of_an_unknown_option_is_no_argument(
    unknown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (fault,) = faults_of(f"ls {unknown} file://.", capsys)
    assert fault.startswith(f"{unknown.replace('=', ' ').split()[0]}: no such option")


def test_a_variable_that_no_setting_has_is_named_with_the_rest(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHER_MAX_BITES", "1")
    unknown, option, destination = sorted(faults_of("write - s4://b --jsn", capsys))[::-1][:3][::-1]
    assert (unknown, option) == (
        "--jsn: no such option; did you mean --json?",
        "BATCHER_MAX_BITES: unknown setting; did you mean BATCHER_MAX_BYTES?",
    )
    assert destination.startswith("DESTINATION: ")


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        ("write - file://out", "BATCHER_DEADLINE_MARGIN_S"),
        ("ls file://.", "BATCHER_LINGER_S"),
        ("ddl file://. --engine duckdb", "BATCHER_CONCURRENCY"),
    ],
)
def test_a_variable_that_the_command_does_not_use_cannot_stop_it(
    command: str,
    variable: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be another program's."""
    monkeypatch.setenv(variable, "nonsense")
    (fault,) = faults_of(f"{command} --fault", capsys)
    assert fault.startswith("--fault: ")


WORDS = st.sampled_from(
    [
        *("file://x", "s4://b", "-", "--", "", "-:7", "a=b", "--json", "--json=1", "-qv", "-vv"),
        *("--since", "--since=", "--since=-1", "--max-bytes", "--max-bytes=1", "-x", "-xyz", "--x"),
        *("--=", "-=", "---", "--compresion", "--skip-to", "\x1b", "\udcff", "--engine", "-5"),
    ]
)


@given(st.sampled_from(sorted(COMMANDS)), st.lists(WORDS, max_size=8))
@settings(max_examples=300, deadline=None)
def test_no_words_end_in_a_traceback(command: str, words: list[str]) -> None:
    """What is wrong is said, whatever the rest is: no command starts."""
    assert main([command, "--no-such-option=1", *words]) == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_right(name: str) -> None:
    """All words of an example are options and arguments of the command."""
    command = command_of(name)
    assert len(command.examples) >= 2
    for example in command.examples:
        words = shlex.split(example.replace("\\\n", " "))
        if "eval" in example:
            continue
        given = words[words.index(name) + 1 :]
        given = given[: given.index(">")] if ">" in given else given
        context = command.make_context(name, given)
        assert context.meta["faults"] == []


@pytest.mark.parametrize("width", [60, 80, 100, 160])
@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_into_the_terminal(
    name: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It breaks at words, and has the same text at any width. Commands of examples stay whole."""
    monkeypatch.setenv("COLUMNS", str(width))
    assert main([name, "--help"] if name else []) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= min(width, 100)
    monkeypatch.setenv("COLUMNS", "100")
    assert main([name, "--help"] if name else []) == 0
    assert capsys.readouterr().out.split() == shown.split()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_all_parts(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And every option in a group, with a text."""
    assert main(["help", name]) == 0
    shown = capsys.readouterr().out
    command = command_of(name)
    for title in ("Usage", "Examples", "Exit codes", "Messages on standard error"):
        assert f"{title}:" in shown
    for each in command.params:
        assert isinstance(each, Argument | Option)
        assert each.description if isinstance(each, Argument) else each.help
        if isinstance(each, Option) and not each.hidden:
            assert f"{each.opts[0]} " in shown or f"{each.opts[0]}\n" in shown


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_in_the_order_of_need(
    name: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Examples come before options, messages after them. A short default is in one row."""
    monkeypatch.setenv("COLUMNS", str(width))
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    titles = [line for line in shown.splitlines() if line.endswith(":") and line[0] != " "]
    start = ["Arguments:", "Examples:"] if "\nArguments:" in shown else ["Examples:"]
    assert titles[: len(start)] == start
    options = titles.index("Options:")
    assert titles.index("Examples:") < options < titles.index("Messages on standard error:")
    assert not re.search(r"\(default:?\n +\S{1,20}\s", shown)
    assert "docs/" not in shown.replace("/tree/main/docs", "")
    assert ("in the documentation" in " ".join(shown.split())) == ("Documentation:" in titles)


def test_metavars_say_what_a_value_is() -> None:
    found = dict(options_of(command_of("check")))
    for option, metavar in {
        "--partition-by": "TEMPLATE",
        "--linger-s": "SECONDS",
        "--max-records": "N",
        "--max-bytes": "SIZE",
        "--tags": "JSON",
        "--conditional-writes": "[true|false]",
        "--partial-response": "[true|false]",
    }.items():
        assert found[option].metavar == metavar
    assert "(default true)" in str(found["--conditional-writes"].help)


def test_the_summary_of_a_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["-h"]) == 0
    shown = capsys.readouterr().out
    assert all(len(summary) <= 80 for summary in COMMANDS.values())
    assert all(f"  {name} " in shown for name in COMMANDS)


def test_help_imports_no_command() -> None:
    """It takes a tenth of a second, of which click's own import is the largest part."""
    code = (
        "import sys; from batcher.cli import main; main([]); heavy = {'asyncio', 'orjson',"
        " 'obstore', 'msgspec', 'rich', 'batcher.settings', 'batcher.cli.options'}; "
        "sys.exit(str(heavy & sys.modules.keys()) if heavy & sys.modules.keys() else 0)"
    )
    done = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
