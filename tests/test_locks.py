# SPDX-License-Identifier: MIT
"""What is special to race/locks: every protected counter is exact, and no lock hangs."""
import os
from collections import Counter
from functools import partial

import pytest
from program import BUILD, kind, quick_rows, verdicts

LOCKS = BUILD / "race" / "locks"
LINES = {"relaxed", "own-lines", "one-line"}
SAFE = {"relaxed", "seq-cst", "cas", "mutex", "adaptive", "futex", "sem", "spin", "ttas", "ticket",
        "mcs", "own-lines", "one-line"}
QUEUES = {"ttas", "ticket", "mcs"}  # those whose waiters tell that they yielded
rows_of = partial(quick_rows, LOCKS)


def check_books(rows, cpus):
    samples = kind(rows, "sample")
    for sample in samples:
        threads, updates = sample["threads"], sample["updates"]
        assert sample["lost_updates"] == 0 or sample["variant"] == "split"
        assert 0 <= sample["fewest_updates"] * threads <= updates
        assert updates <= sample["most_updates"] * threads
        assert 0 <= sample["queued_threads"] <= threads
        assert sample["queued_threads"] == 0 or sample["variant"] in QUEUES
    here = {(1, cpus), (2, cpus), (4, cpus), (8, cpus), (2, 1), (8, 1)}
    found = Counter((s["variant"], s["trial"], s["threads"], s["cpus"]) for s in samples)
    expected = {(variant, trial, *cell) for variant, trial in {(s["variant"], s["trial"]) for s in samples}
                for cell in (here if trial < rows[0]["params"]["trials"] else {(2, cpus)})}
    assert found.keys() == expected
    for (variant, _, *cell), times in found.items():  # two threads are tried until they ran side by side
        assert times == 1 or (times <= 8 and cpus > 1 and cell == [2, cpus] and variant in LINES)
    return samples


def exactness(rows):
    return verdicts(rows)["race-mutex-fixes"]


def test_every_protected_counter_is_exact():
    rows = rows_of()
    samples = check_books(rows, len(os.sched_getaffinity(0)))
    assert {sample["variant"] for sample in samples} == SAFE | {"split"}
    assert exactness(rows) == "holds"


@pytest.mark.parametrize("duration", ["1", "20"])
def test_eight_threads_on_one_cpu_end(duration):
    """Also where a spinning queue stands still for a thread that is not running."""
    cpu = str(min(os.sched_getaffinity(0)))
    spinning = QUEUES | {"spin"}
    rows = rows_of("--cpus", cpu, "--duration", duration, "--variants", ",".join(spinning))
    assert {sample["variant"] for sample in check_books(rows, 1)} == spinning
    assert exactness(rows) == "skipped"


def test_only_the_mutex():
    rows = rows_of("--variants", "mutex", "--duration", "20")
    assert exactness(rows) == "holds"


def test_threads_beside_others_count():
    """What one thread alone did under a mutex proves nothing."""
    rows = rows_of("--variants", "mutex", "--trials", "1", "--duration", "20")
    beside = [s for s in kind(rows, "sample") if s["threads"] > 1]
    verdict, = (v for v in kind(rows, "verdict") if v["claim"] == "race-mutex-fixes")
    assert verdict["numbers"]["lost"]["n"] == sum(sample["updates"] for sample in beside)


def test_only_without_a_lock():
    rows = rows_of("--variants", "split", "--duration", "1")
    check_books(rows, len(os.sched_getaffinity(0)))
    assert exactness(rows) == "skipped"


def test_only_threads_that_ran_side_by_side_tell_what_a_line_costs():
    """A pair of threads is tried again until both ran all along, a few times at most."""
    rows = rows_of("--variants", "relaxed,own-lines,one-line", "--trials", "8")
    verdict = verdicts(rows)["race-false-sharing"]
    if len(os.sched_getaffinity(0)) == 1:
        assert verdict == "skipped"
        return
    pairs = {}
    for sample in kind(rows, "sample"):
        if sample["threads"] == 2 and sample["cpus"] > 1:
            pairs.setdefault((sample["variant"], sample["trial"]), []).append(sample["beside"])
        if sample["beside"]:
            assert sample["threads"] <= sample["cpus"]
    for tried in pairs.values():
        assert len(tried) <= 8 and not any(tried[:-1])
    told = {(variant, trial) for (variant, trial), tried in pairs.items() if tried[-1]}
    rounds = {variant: {trial for of, trial in told if of == variant}
              for variant in ("relaxed", "own-lines", "one-line")}
    few = [len(rounds["one-line"] & rounds[other]) < 6  # the fewest with an interval at 95 %
           for other in ("own-lines", "relaxed")]
    if any(few):
        assert verdict != "holds"
    if all(few):
        assert verdict == "unclear"


def test_a_line_on_one_cpu():
    rows = rows_of("--cpus", str(min(os.sched_getaffinity(0))), "--trials", "1")
    assert verdicts(rows)["race-false-sharing"] == "skipped"
