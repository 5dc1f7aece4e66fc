# SPDX-License-Identifier: MIT
"""What is special to gil/builtins: its books balance, its control is exact, what hands over loses.

No test demands that d[k] += 1 loses updates: it can happen, and need not.
"""
import subprocess
import sys
from functools import partial

import pytest
from program import BUILD, ROOT, TIMEOUT, environment, kind, parse, quick_rows, run, verdict_of

BUILTINS = BUILD / "gil" / "builtins"
SCRIPT = ROOT / "experiments" / "gil" / "builtins.py"
OPERATIONS = ("append", "extend", "dict", "count", "queue", "locked")
rows_of = partial(quick_rows, BUILTINS, "--python", sys.executable)


def script(*arguments):
    """{operation: (updates, lost)} as the script says."""
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments], stdout=subprocess.PIPE,
                          check=True, timeout=60, encoding="utf-8")
    lines = [line.split() for line in done.stdout.splitlines()]
    return {name: (int(updates), int(lost)) for name, updates, lost in lines}


def test_the_script():
    said = script("3", "5", *OPERATIONS)
    assert tuple(said) == OPERATIONS
    for updates, lost in said.values():
        assert updates >= 300 and updates % 100 == 0 and 0 <= lost < updates
    assert all(said[name][1] == 0 for name in OPERATIONS if name != "dict")


@pytest.mark.parametrize("name, arguments", [
    ("builtins", ["2", "5", "append"]), ("counting", ["own:2:5:1000"]), ("cpython", ["plain:1000"]),
], ids=["builtins", "counting", "cpython"])
def test_a_thread_that_cannot_be_started_ends_the_script(name, arguments):
    """The one that was started before waits for it, and must not keep the script from its end."""
    lacking = ("import runpy, sys, threading\nstart, started = threading.Thread.start, []\n"
               "def fail(thread):\n    started.append(thread)\n    if len(started) == 2:\n"
               "        raise RuntimeError(\"can't start new thread\")\n    start(thread)\n"
               "threading.Thread.start = fail\nrunpy.run_path(sys.argv.pop(1), run_name='__main__')\n")
    path = ROOT / "experiments" / "gil" / f"{name}.py"
    done = subprocess.run([sys.executable, "-c", lacking, path, *arguments], capture_output=True, text=True,
                          timeout=TIMEOUT, check=False)
    assert done.returncode == 1 and "can't start new thread" in done.stderr.splitlines()[-1]


def test_what_hands_the_gil_over_loses():
    said = script("handover", "4", "5", *OPERATIONS)
    assert all((lost > 0) == (name != "locked") for name, (_, lost) in said.items())


def test_books():
    rows = rows_of("--trials", "2", "--duration", "5", "--threads", "3")
    for sample in kind(rows, "sample"):
        for name in OPERATIONS:
            assert 0 <= sample[f"{name}_lost"] < sample[f"{name}_updates"]
            assert sample[f"{name}_lost"] == 0 or name == "dict"
    lost = sum(sample["dict_lost"] for sample in kind(rows, "sample"))
    assert verdict_of(rows) in (("depends", "unclear") if lost else ("holds", "unclear"))


def test_no_interpreter(tmp_path):
    nowhere = str(tmp_path)
    ended = run(BUILTINS, "--quick", "-o", "-", env=environment(PATH=nowhere, HOME=nowhere))
    assert ended.returncode == 77, ended.stderr
    assert verdict_of(parse(ended.stdout)) == "skipped"
