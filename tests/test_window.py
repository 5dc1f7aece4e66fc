# SPDX-License-Identifier: MIT
"""What is special to buffers/window: what the receiver held came out again."""
from functools import partial

from program import BUILD, kind, quick_rows

WINDOW = BUILD / "buffers" / "window"
rows_of = partial(quick_rows, WINDOW)


def test_windows():
    rows = rows_of()
    samples = [s for s in kind(rows, "sample") if s["trial"] == 0]
    cells = {(s["variant"], s["asked_bytes"]) for s in samples}
    assert len(samples) == len(cells) == 3 * 3
    for sample in samples:
        assert sample["missing_bytes"] == sample["misplaced_bytes"] == 0
        assert sample["held_bytes"] > 0
    granted = {(s["asked_bytes"], s["granted_rcvbuf_bytes"]) for s in samples}
    assert len(granted) == 3  # whenever it was asked for


def test_one_time_alone():
    verdict, = kind(rows_of("--variants", "late"), "verdict")
    assert verdict["verdict"] == "skipped"
