"""SyncBatcher in processes of its own: the end of the interpreter, forks, Ctrl-C."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from batcher.encoding.zstd import zstd

ROOT = Path(__file__).parents[3]
PREAMBLE = """
import asyncio, logging, os, signal, sys, threading, time
from batcher import Settings, SyncBatcher
from batcher.errors import *
from support.fakes import HookedStore, failing, hanging
from batcher.stores.memory import MemoryStore

def note(text):
    print(text, flush=True)

def hung(**options):
    store = HookedStore(MemoryStore(), hanging("put"))
    settings = Settings(bucket="my-bucket", budget_bytes=100_000, max_bytes=50_000)
    return SyncBatcher(settings, store=store, **options)

settings = Settings(bucket="file:" + os.getcwd(), root="out", linger_s=3_600, compression="zstd")
"""


def begin(script: str, folder: Path) -> subprocess.Popen[str]:
    """Start Python on a script in a folder."""
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    return subprocess.Popen(  # noqa: S603  # our own script
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PREAMBLE + script],
        cwd=folder,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(script: str, folder: Path, *, exit_code: int = 0) -> tuple[str, str]:
    """Run a script to its end. Return what it has written to standard output and error."""
    process = begin(script, folder)
    out, err = process.communicate(timeout=100)
    assert process.returncode == exit_code, err
    return out, err


def durable(folder: Path) -> list[int]:
    """Return the field `n` of all records in a folder, in rising order."""
    texts = [zstd.decompress(path.read_bytes()) for path in (folder / "out").rglob("*.zst")]
    return sorted(json.loads(line)["n"] for text in texts for line in text.splitlines())


def read_line(stream: IO[str] | None) -> str:
    """Return the next line of a stream of a process."""
    assert stream is not None
    return stream.readline().strip()


@pytest.mark.parametrize(
    "end",
    [
        "",
        "del batcher",
        "sys.exit()",
        "import atexit; atexit.register(lambda: note('last'))",
        "logging.shutdown()",
        "threading.Thread(target=lambda: time.sleep(0.3)).start()",
    ],
)
def test_an_exit_without_close_writes_all(tmp_path: Path, end: str) -> None:
    """Large batches are encoded by an executor, small ones are not: both are written."""
    script = """
batcher = SyncBatcher(settings)
batcher.submit_many({"n": n} for n in range(100_000))
SyncBatcher(settings).submit({"n": 100_000})
"""
    _, err = run(script + end, tmp_path)
    assert durable(tmp_path) == list(range(100_001))
    assert not err


def test_nothing_is_taken_after_the_end_of_the_main_thread(tmp_path: Path) -> None:
    """Nothing would close a batcher that is made so late, and its records would be lost unseen."""
    script = """
import atexit

def submit():
    for late in (SyncBatcher(settings), batcher):
        try:
            late.submit({"n": 1})
        except RuntimeError as error:
            note(error)

atexit.register(submit)
batcher = SyncBatcher(settings)
batcher.submit({"n": 0})
"""
    out, err = run(script, tmp_path)
    assert [line[:26] for line in out.splitlines()] == ["the interpreter is exiting"] * 2
    assert durable(tmp_path) == [0]
    assert not err


@pytest.mark.parametrize("kind", ["RetryableError", "ValueError"])
def test_what_fails_at_the_exit_is_logged_with_its_number(tmp_path: Path, kind: str) -> None:
    """No ticket can raise it any more."""
    script = f"""
store = HookedStore(MemoryStore(), failing({kind}("busy"), "put"))
SyncBatcher(settings, store=store).submit_many([b"1"] * 12_345)
"""
    _, err = run(script, tmp_path)
    assert f"{kind}: busy" in err
    assert "records=12345" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("on_cancel", ["abort", "drain"])
def test_what_hangs_at_the_exit_is_dropped_and_counted(tmp_path: Path, on_cancel: str) -> None:
    """After the time for a drain."""
    script = f"""
batcher = hung(drain_timeout_s=0.5, on_cancel={on_cancel!r})
batcher.submit_many([b"1"] * 1_234)
"""
    _, err = run(script, tmp_path)
    assert "records dropped: 1234," in err
    assert "Traceback" not in err


@pytest.mark.parametrize("wait", ["submit", "result", "flush", "close"])
def test_ctrl_c_ends_every_wait(tmp_path: Path, wait: str) -> None:
    """What is not durable is counted."""
    script = f"""
with hung(drain_timeout_s=0.2) as batcher:
    ticket = batcher.submit({{"n": 0}})
    flushing = threading.Thread(target=lambda: batcher.flush(), daemon=True)
    flushing.start()
    try:
        note("ready")
        if {wait!r} == "submit":
            while True:
                batcher.submit({{"n": "x" * 1_000}})
        getattr(ticket if {wait!r} == "result" else batcher, {wait!r})()
    except KeyboardInterrupt as error:
        note("interrupted")
        raise
"""
    process = begin(script, tmp_path)
    assert read_line(process.stdout) == "ready"
    process.send_signal(2)
    out, err = process.communicate(timeout=60)
    assert out == "interrupted\n"
    assert "records dropped: " in err
    assert "\nKeyboardInterrupt" in err  # the other thread may print after it


def test_ctrl_c_in_submit_loses_no_ticket(tmp_path: Path) -> None:
    """The records that were taken are those of the exception's ticket, and are written."""
    script = """
batcher = SyncBatcher(Settings(bucket="file:" + os.getcwd(), root="out", compression="zstd"))

def records():
    for n in range(1_000_000):
        if n == 100_000:
            os.kill(os.getpid(), signal.SIGINT)
        yield {"n": n}

try:
    batcher.submit_many(records())
except KeyboardInterrupt as error:
    batcher.close()
    note(error.ticket.records)
    note(sum(receipt.records for receipt in error.ticket.result()))
"""
    out, _ = run(script, tmp_path)
    taken, written = map(int, out.split())
    assert taken == written
    assert durable(tmp_path) == list(range(taken))


def test_a_signal_handler_may_close_it(tmp_path: Path) -> None:
    """Whatever it has interrupted."""
    script = """
batcher = SyncBatcher(settings)
signal.signal(signal.SIGTERM, lambda *_: (batcher.close(), sys.exit(0)))
note("ready")
n = 0
while True:
    batcher.submit({"n": n})
    n += 1
"""
    process = begin(script, tmp_path)
    assert read_line(process.stdout) == "ready"
    while not list(tmp_path.rglob("*")) and process.poll() is None:
        process.terminate()
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            continue
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    found = durable(tmp_path)
    assert found == list(range(len(found)))


@pytest.mark.parametrize("used", [True, False])
@pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit(0)", ""])
def test_a_forked_process_is_refused_and_harms_nothing(
    tmp_path: Path, end: str, *, used: bool
) -> None:
    """It can have one of its own. The parent's goes on, and nothing is written twice."""
    script = f"""
batcher = SyncBatcher(settings)
if {used}:
    batcher.submit({{"n": 0}})
child = os.fork()
if child == 0:
    one, many = lambda: batcher.submit({{"n": 7}}), lambda: batcher.submit_many([b"7"])
    for use in (one, many, batcher.flush):
        try:
            use()
        except RuntimeError as error:
            note(error)
    batcher.close()
    with SyncBatcher(settings) as own:
        own.submit({{"n": 1}})
    {end}
else:
    assert os.waitpid(child, 0)[1] == 0
    batcher.submit({{"n": 2}})
    batcher.close()
"""
    out, err = run(script, tmp_path)
    lines = out.splitlines()
    assert len(lines) == 3
    assert all("create one in each process after the fork" in line for line in lines)
    assert durable(tmp_path) == [0, 1, 2] if used else [1, 2]
    assert not err


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_each_process_of_multiprocessing_has_its_own(tmp_path: Path, method: str) -> None:
    """As the workers of Celery have. Its records are written at the end of the process."""
    (tmp_path / "work.py").write_text(
        """import os
from batcher import Settings, SyncBatcher

def work(n):
    settings = Settings(bucket="file:" + os.getcwd(), root="out", compression="zstd")
    globals()["kept"] = batcher = SyncBatcher(settings)
    batcher.submit_many({"n": i} for i in range(n, n + 100))
"""
    )
    script = f"""
import multiprocessing
from work import work
if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    batcher = SyncBatcher(settings)
    batcher.submit({{"n": 300}})
    processes = [context.Process(target=work, args=(n,)) for n in (0, 100, 200)]
    for each in processes:
        each.start()
    for each in processes:
        each.join()
        assert each.exitcode == 0
"""
    _, err = run(f"sys.path.insert(0, os.getcwd())\n{script}", tmp_path)
    assert durable(tmp_path) == list(range(301))
    assert not err


def test_it_works_in_a_running_event_loop(tmp_path: Path) -> None:
    """As in a notebook. It blocks that loop, but ends."""
    script = """
async def program():
    with SyncBatcher(settings) as batcher:
        batcher.submit({"n": 1})

asyncio.run(program())
"""
    run(script, tmp_path)
    assert durable(tmp_path) == [1]


def test_a_thread_that_submits_after_the_main_thread_has_ended_is_told(tmp_path: Path) -> None:
    """Records are written or refused, never dropped in silence."""
    script = """
batcher = SyncBatcher(settings)
taken = []

def submit():
    try:
        for n in range(10**9):
            batcher.submit({"n": n})
            taken.append(n)
    except (RuntimeError, RetryableError) as error:
        note(f"{len(taken)} {error}")

thread = threading.Thread(target=submit)
thread.start()
while len(taken) < 100:
    time.sleep(0.01)
"""
    out, err = run(script, tmp_path)
    assert "the interpreter is exiting" in out
    assert durable(tmp_path) == list(range(int(out.split()[0])))
    assert not err
