# SPDX-License-Identifier: MIT
"""What is special to buffers/window: what the receiver held came out again."""
from program import BUILD, kind, parse, run

WINDOW = BUILD / "buffers" / "window"


def rows_of(*arguments):
    ended = run(WINDOW, "--quick", "-o", "-", *arguments)
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


def test_windows():
    rows = rows_of()
    samples = kind(rows, "sample")
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
