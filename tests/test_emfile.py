# SPDX-License-Identifier: MIT
"""What is special to polling/emfile: a call fails for want of a descriptor only, and what becomes of
a client that cannot be accepted."""
from functools import partial

from program import BUILD, kind, quick_rows

EMFILE = BUILD / "polling" / "emfile"
NEEDS_NONE = {"send", "dup2"}
rows_of = partial(quick_rows, EMFILE, "--trials", "1")


def of(rows, variant):
    return [sample for sample in kind(rows, "sample") if sample["variant"] == variant]


def test_calls_at_the_limit():
    full, after = ({sample["call"]: sample for sample in of(rows_of("--variants", "full"), "full")
                    if sample["when"] == when} for when in ("at the limit", "after one close"))
    assert NEEDS_NONE < set(full) == set(after)
    for call, sample in full.items():
        assert sample["errno"] == (0 if call in NEEDS_NONE else 24), call
    assert after["accept, no client"]["result"] == "EAGAIN"
    assert after["pipe (two)"]["errno"] == 24
    for call in set(after) - {"accept, no client", "pipe (two)"}:
        assert after[call]["result"] == "ok"


def test_full_server():
    rows = rows_of("--variants", "level,edge,spare")
    for variant in ("level", "edge", "spare"):
        sample, = of(rows, variant)
        assert sample["idle_wakeups"] == 0 and sample["wakeups"] == sample["refusals"] >= 1
        assert sample["turned_away"] == (1 if variant == "spare" else 0)
        assert (sample["after_wakeups"] > 0) == (variant == "level")
        assert sample["after_accept_errno"] == (11 if variant == "spare" else 0)
    verdict, = kind(rows, "verdict")
    assert verdict["verdict"] == "unclear"  # one trial has no interval


def test_no_verdict_without_the_cure():
    verdict, = kind(rows_of("--variants", "level,edge"), "verdict")
    assert verdict["verdict"] == "skipped"
