# SPDX-License-Identifier: MIT
"""What is special to buffers/dgram_qlen: the queue's limit is the sysctl's, and all that was taken comes out."""
import errno
from functools import partial
from pathlib import Path

from program import BUILD, kind, quick_rows, verdicts

QLEN = BUILD / "buffers" / "dgram_qlen"
SYSCTL = Path("/proc/sys/net/unix/max_dgram_qlen")
rows_of = partial(quick_rows, QLEN)


def test_what_was_full():
    rows = rows_of()
    for sample in kind(rows, "sample"):
        assert sample["refused_errno"] == errno.EAGAIN
        assert sample["missing_messages"] == sample["misplaced_bytes"] == 0
        assert sample["full"] == (sample["charged_bytes"] >= sample["granted_sndbuf_bytes"])
        assert sample["max_dgram_qlen"] == int(SYSCTL.read_text())
        if sample["variant"] == "pair":
            assert sample["full"]
        elif not sample["full"]:
            assert sample["messages"] - sample["max_dgram_qlen"] in (0, 1)
    assert len(verdicts(rows)) == 1


def test_one_size_alone_says_nothing():
    for variant in ("small", "large", "pair"):
        assert verdicts(rows_of("--variants", variant)) == {"buf-dgram-qlen": "skipped"}
