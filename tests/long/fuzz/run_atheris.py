"""Fuzz one target for long, guided by coverage: tests of tests/integration/fuzz, fed by atheris.

`python tests/long/fuzz/run_atheris.py --target events --seconds 60`; `make fuzz` does all of them.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

TARGETS = {
    "events": ("test_fuzz_events", "test_a_spoiled_record_never_harms_its_neighbours"),
    "anything": (
        "test_fuzz_events",
        "test_any_event_is_answered_or_refused_with_an_error_of_ours",
    ),
    "settings": (
        "test_fuzz_settings",
        "test_settings_are_valid_or_every_fault_is_told_at_once",
    ),
    "partitions": (
        "test_fuzz_partitions",
        "test_no_template_and_no_field_leaves_its_key_space",
    ),
    "values": (
        "test_fuzz_partitions",
        "test_short_values_that_differ_have_partitions_that_differ",
    ),
    "inputs": (
        "test_fuzz_inputs",
        "test_every_line_before_the_end_or_the_damage_is_read_once",
    ),
    "stored": (
        "test_fuzz_stored",
        "test_whatever_lies_in_a_bucket_is_judged_and_nothing_is_sent_twice",
    ),
}
"""By name: the module, and the test, whose strategies turn bytes into what is tried."""
MAX_INPUT_BYTES = 4_096


def main() -> int:
    """Run a target until the time is over, or until it fails, which ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=sorted(TARGETS), required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="inputs to begin with; new ones are added")
    arguments = parser.parse_args()
    try:
        atheris: Any = import_module("atheris")  # for Linux only, and no part of the dev extra
    except ImportError:
        print("fuzzing needs atheris, which is for Linux only: pip install atheris")  # noqa: T201
        return 2
    tests = Path(__file__).parents[2]
    sys.path[:0] = [str(tests), str(tests.parent)]
    logging.getLogger("batcher").addHandler(logging.NullHandler())
    module, test = TARGETS[arguments.target]
    with atheris.instrument_imports(include=["batcher"]):
        found: Any = getattr(import_module(f"integration.fuzz.{module}"), test)
    with tempfile.TemporaryDirectory() as empty:
        options = [f"-max_total_time={arguments.seconds}", f"-max_len={MAX_INPUT_BYTES}"]
        options.append("-len_control=0")  # no short inputs first: a record needs some hundred bytes
        corpus = str(arguments.corpus or empty)
        artifacts = f"-artifact_prefix={tempfile.gettempdir()}/fuzz-{arguments.target}-"
        argv = [sys.argv[0], corpus, *options, artifacts]
        atheris.Setup(argv, found.hypothesis.fuzz_one_input)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
