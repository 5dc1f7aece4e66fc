# SPDX-License-Identifier: MIT
"""What is special to race/switch: every turn is counted, by both sides and by the kernel."""
import os
from functools import partial

import pytest
from program import BUILD, kind, quick_rows

SWITCH = BUILD / "race" / "switch"
SANITIZED = bool(os.environ.get("SAN"))
COROUTINES = {"coroutine-own", "coroutine-ucontext"}
KERNELS = {"thread-futex", "process-futex", "thread-pipe", "process-pipe"}
rows_of = partial(quick_rows, SWITCH)


@pytest.mark.parametrize("rounds", [200, 3000])
def test_turns(rounds):
    samples = kind(rows_of("--rounds", str(rounds), "--trials", "2"), "sample")
    assert KERNELS <= {sample["variant"] for sample in samples}
    for sample in samples:
        assert sample["missing_turns"] == 0
        if sample["variant"] in COROUTINES:
            assert (sample["cpus"], sample["switches"]) == (1, 20 * rounds)
        else:
            assert sample["switches"] == 2 * rounds // (20 if sample["cpus"] == 2 else 1)
            # each turn on one CPU needs a context switch, whether wanted or forced
            counted = sample["voluntary_switches"] + sample["involuntary_switches"]
            assert sample["cpus"] == 2 or counted >= sample["switches"] - 2


def test_one_cpu_leaves_two_out():
    rows = rows_of("--cpus", str(min(os.sched_getaffinity(0))), "--trials", "1")
    assert {sample["cpus"] for sample in kind(rows, "sample")} == {1}


def test_a_sanitizer_leaves_coroutines_out():
    samples = kind(rows_of("--trials", "1"), "sample")
    found = {sample["variant"] for sample in samples} & COROUTINES
    assert not found if SANITIZED else found


def test_one_trial_decides_nothing():
    rows = rows_of("--trials", "1", "--rounds", "200", "--seed", "1")
    verdict, = kind(rows, "verdict")
    assert verdict["verdict"] == ("skipped" if SANITIZED else "unclear")


def test_without_what_the_claim_needs():
    verdict, = kind(rows_of("--variants", "thread-futex,process-futex"), "verdict")
    assert verdict["verdict"] == "skipped"
