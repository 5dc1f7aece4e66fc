# SPDX-License-Identifier: MIT
"""What is special to echo/threads_cost: threads and processes are counted where they are."""
from echo import OWN_THREADS
from program import BUILD, kind, quick_rows, verdict_of

PROGRAM = BUILD / "echo" / "threads_cost"


def test_books():
    rows = quick_rows(PROGRAM, "--connections", "8", "--held", "9", "--trials", "1",
                      "--duration", "200")  # a busy machine answers in so long
    samples = {sample["variant"]: sample for sample in kind(rows, "sample")}
    assert set(samples) == {"epoll", "thread", "fork"}
    for sample in samples.values():
        assert sample["connections"] == sample["served_connections"] == 8
        assert sample["in_window"] <= sample["requests"] and sample["server_cpu_ns"] > 0
        assert sample["p50_ns"] <= sample["p99_ns"] <= sample["max_ns"]
        assert sample["switches"] == sample["voluntary_switches"] + sample["involuntary_switches"]
        assert sample["more_connections"] == 8 <= sample["memory_bytes"]
    # one thread more than those that serve: for signals, and in each process
    assert samples["epoll"]["threads"] == OWN_THREADS
    assert samples["thread"]["threads"] == OWN_THREADS + 8
    assert samples["fork"]["processes"] == 1 + 8


def test_one_trial_decides_nothing():
    assert verdict_of(quick_rows(PROGRAM, "--trials", "1")) == "unclear"


def test_the_control_is_needed():
    assert verdict_of(quick_rows(PROGRAM, "--trials", "1", "--variants", "thread,fork")) == "skipped"
