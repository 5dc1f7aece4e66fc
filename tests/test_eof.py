# SPDX-License-Identifier: MIT
"""What is special to tcp/eof: an orderly end loses no byte, and is told apart from a reset."""
import errno
import signal
from functools import partial

import pytest
from program import BUILD, kind, quick_rows

EOF = BUILD / "tcp" / "eof"
ORDERLY, RESETS = {"shutdown", "close", "killed"}, {"unread", "linger0", "crashed"}
NOBODY = {"udp-empty", "length-0"}
rows_of = partial(quick_rows, EOF)


@pytest.mark.parametrize("buffers", ["4096", "16K", "256K"])
def test_ends(buffers):
    rows = rows_of("--buffers", buffers)
    samples = kind(rows, "sample")
    assert {s["variant"] for s in samples} == {"open"} | ORDERLY | RESETS | NOBODY
    for sample in samples:
        variant = sample["variant"]
        assert sample["received_bytes"] + sample["lost_bytes"] == sample["accepted_bytes"] > 0
        assert sample["misplaced_bytes"] == 0
        assert variant in RESETS or sample["lost_bytes"] == 0
        if variant in ORDERLY:
            assert [sample[f] for f in ("end", "again", "again_2", "again_3")] == [0] * 4
            assert sample["poll_rdhup"] == 1
        elif variant in RESETS:
            assert sample["end"] == -errno.ECONNRESET
            assert sample["send_2"] == -errno.EPIPE
        elif variant == "open":
            assert sample["end"] == -errno.EAGAIN
            assert sample["poll_rdhup"] == 0
        if variant in ("open", "shutdown"):
            assert (sample["back_received_bytes"], sample["back_end"]) == (2000, 0)
        elif variant not in NOBODY:
            assert sample["signal"] == signal.SIGPIPE
    verdict, = kind(rows, "verdict")
    assert verdict["verdict"] == "depends"


def test_without_what_is_no_end():
    """The claim is about all that gives 0, so without some of it nothing is said."""
    rows = rows_of("--variants", "open,shutdown,close,killed")
    verdict, = kind(rows, "verdict")
    assert verdict["verdict"] == "skipped"
