# SPDX-License-Identifier: MIT
"""What is special to polling/traps: where each byte of a message is, and who never sleeps."""
import errno
from functools import partial

from program import BUILD, kind, quick_rows, verdicts

TRAPS = BUILD / "polling" / "traps"
rows_of = partial(quick_rows, TRAPS)


def test_edges():
    rows = rows_of("--variants", "edge-once,edge-drain,level,oneshot")
    for sample in kind(rows, "sample"):
        assert sample["read_bytes"] + sample["stuck_bytes"] == sample["sent_bytes"] == 4096
        assert sample["misplaced_bytes"] == 0
        assert sample["poll_in"] == (sample["stuck_bytes"] > 0)
        if sample["variant"] == "edge-once":
            assert (sample["wakeups"], sample["stuck_bytes"]) == (1, 3072)
            assert (sample["later_wakeups"], sample["later_stuck_bytes"]) == (1, 2049)
        else:
            assert sample["stuck_bytes"] == sample["later_stuck_bytes"] == 0
            assert sample["wakeups"] == (1 if sample["variant"] == "edge-drain" else 4)
    assert verdicts(rows) == {"poll-edge-trap": "holds", "poll-epollout-spin": "skipped",
                              "poll-hup-fresh": "skipped", "poll-closed-fd": "skipped"}


def test_epollout():
    rows = rows_of("--variants", "out-forgotten,out-needed", "--idle", "100ms")
    for sample in kind(rows, "sample"):
        assert sample["missing_bytes"] == sample["misplaced_bytes"] == 0
        assert sample["busy_wakeups"] > 0
        # two clocks, read one after the other
        assert 0 <= sample["idle_cpu_ns"] <= sample["idle_ns"] * 1.01 + 1e6
        if sample["variant"] == "out-needed":
            assert sample["idle_wakeups"] == 0 and sample["idle_sleeps"] >= 1
        else:
            assert sample["idle_wakeups"] > 0
    assert verdicts(rows)["poll-edge-trap"] == "skipped"


def test_no_interest():
    rows = rows_of("--variants", "hup-fresh,hup-connected")
    for sample in kind(rows, "sample"):
        fresh = sample["variant"] == "hup-fresh"
        assert sample["idle_wakeups"] == sample["hup_wakeups"] == (sample["waits"] if fresh else 0)
        assert sample["poll_hup"] == fresh
    assert verdicts(rows)["poll-hup-fresh"] == "refuted"


def test_closed_with_a_duplicate():
    rows = rows_of("--variants", "closed-dup,closed-fork,closed-alone")
    for sample in kind(rows, "sample"):
        alone = sample["variant"] == "closed-alone"
        told = 0 if alone else sample["waits"]
        assert sample["idle_wakeups"] == sample["closed_wakeups"] == told
        assert sample["del_errno"] == errno.EBADF
    assert verdicts(rows)["poll-closed-fd"] == "depends"


def test_closed_alone_says_nothing_of_duplicates():
    rows = rows_of("--variants", "closed-alone")
    assert verdicts(rows)["poll-closed-fd"] == "skipped"
