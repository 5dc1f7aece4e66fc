# SPDX-License-Identifier: MIT
"""What is special to polling/traps: where each byte of a message is, and who never sleeps."""
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
    assert verdicts(rows) == {"poll-edge-trap": "holds", "poll-epollout-spin": "skipped"}


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
