# SPDX-License-Identifier: MIT
"""What is special to race/speedup: right sums, and no more CPU time than there are CPUs."""
import os
from functools import partial

from program import BUILD, environment, kind, quick_rows, run, verdicts

SPEEDUP = BUILD / "race" / "speedup"
C_VARIANTS = ("free-1-1cpu,free-2-1cpu,free-4-1cpu,free-1,free-2,free-4,lock-1,lock-2,lock-4")
rows_of = partial(quick_rows, SPEEDUP, "--trials", "2")


def check(rows):
    samples = kind(rows, "sample")
    for sample in samples:
        assert sample["wrong_sums"] == 0
        assert sample["threads"] == int(sample["variant"].split("-")[1])
        assert 0 < sample["cpu_ns"] < (sample["cpus"] + 0.1) * sample["elapsed_ns"] + 2e6
        assert sample["variant"].startswith("python") == ("python" in sample)
    return {sample["variant"] for sample in samples}


def test_sums():
    for iterations in ("1", "3", "1M"):
        found = check(rows_of("--iterations", iterations, "--variants", C_VARIANTS))
        assert found == set(C_VARIANTS.split(","))


def test_one_cpu_shows_no_parallelism():
    rows = rows_of("--cpus", str(min(os.sched_getaffinity(0))), "--variants", C_VARIANTS)
    check(rows)
    assert set(verdicts(rows).values()) == {"skipped"}


def test_what_was_left_out_is_named():
    """A variant that was not asked for is no CPython that is missing."""
    rows = rows_of("--variants", "free-1,free-2")
    assert set(verdicts(rows).values()) == {"skipped"}
    for row in kind(rows, "verdict"):
        assert "(--variants)" in row["sentence"] and "found" not in row["sentence"]


def test_without_python(tmp_path):
    """It is not needed: the lock in C stands for the GIL."""
    rows = rows_of("--variants", C_VARIANTS + ",python-1,python-2",
                   env=environment(PATH=str(tmp_path), HOME=str(tmp_path)))
    assert check(rows) == set(C_VARIANTS.split(","))


def test_a_python_that_is_none():
    ended = run(SPEEDUP, "--quick", "--python", "/bin/true")
    assert ended.returncode == 2 and "/bin/true" in ended.stderr
