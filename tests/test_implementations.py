# SPDX-License-Identifier: MIT
"""What is special to gil/implementations: own counts are exact, one lock leaves one CPU at work."""
import os
import subprocess
import sys
from functools import partial

import pytest
from program import BUILD, ROOT, environment, kind, parse, quick_rows, run, verdict_of

IMPLEMENTATIONS = BUILD / "gil" / "implementations"
SCRIPT = ROOT / "experiments" / "gil" / "counting.py"
rows_of = partial(quick_rows, IMPLEMENTATIONS, "--python", sys.executable)
with_gil = pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="has no GIL")


def script(*arguments):
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments], stdout=subprocess.PIPE,
                          check=True, timeout=60, encoding="utf-8")
    return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]


def test_the_script():
    for updates, elapsed, cpu, wrong in script("own:1:5:100", "own:3:5:100", "locked:2:5:100"):
        assert updates > 0 and updates % 100 == 0 and elapsed > 0 and wrong == 0
        assert cpu == -1 or 0 <= cpu <= 3 * (elapsed + 1e7)


def test_a_number_of_updates():
    """The notes' program: one turn of each thread."""
    (updates, _, _, wrong), = script("shared:2:0:5000")
    assert updates == 10000 and abs(wrong) <= 5000


@with_gil
def test_one_kind_alone_is_no_test():
    rows = rows_of("--trials", "1", "--iterations", "1k")
    for sample in kind(rows, "sample"):
        if sample["variant"] != "c":
            assert (sample["own_wrong"], sample["notes_updates"], sample.get("parallel", 0)) == (0, 2000, 0)
    assert verdict_of(rows) == "skipped"


def test_on_one_cpu():
    rows = rows_of("--cpus", str(min(os.sched_getaffinity(0))), "--trials", "1")
    assert verdict_of(rows) == "skipped"
    assert not any(sample.get("parallel") for sample in kind(rows, "sample"))


def test_no_interpreter(tmp_path):
    nowhere = str(tmp_path)
    ended = run(IMPLEMENTATIONS, "--quick", "-o", "-", env=environment(PATH=nowhere, HOME=nowhere))
    assert ended.returncode == 77, ended.stderr
    assert verdict_of(parse(ended.stdout)) == "skipped"
