# SPDX-License-Identifier: MIT
"""What is special to echo/ctrl_c: who waits for its client is the program's and the version's, not the load's."""
import re
import sys
from functools import partial

import pytest
from program import BUILD, busy_loops, kind, quick_rows, verdict_of

CTRL_C = BUILD / "echo" / "ctrl_c"
WAIT = {"py-threaded", "py-socketserver"}
rows_of = partial(quick_rows, CTRL_C)


def waits(variant):
    version = re.match(r"asyncio-3\.(\d+)", variant)
    return int(version[1]) >= 12 if version else variant in WAIT


def check_books(rows):
    for sample in kind(rows, "sample"):
        outcome = [sample["ended"], sample["waited"], sample["never"]]
        assert outcome == ([0, 1, 0] if waits(sample["variant"]) else [1, 0, 0]), sample
        assert sample["alone_lived_on"] == sample["written_lived_on"] == 0 < sample["alone_end_ns"]
        assert ("left_ns" in sample) == sample["waited"]
        if sample["waited"]:
            assert rows[0]["params"]["hold_ms"] * 1000000 <= sample["left_ns"] <= sample["end_ns"]


def test_who_waits():
    rows = rows_of("--python", sys.executable)
    check_books(rows)
    assert verdict_of(rows) == "depends"


def test_a_busy_machine_makes_none_wait():
    with busy_loops(4):
        rows = rows_of("--python", sys.executable, "--hold", "5ms",
                       "--variants", "epoll,thread,py-daemon,py-iterative,py-threaded")
    check_books(rows)


@pytest.mark.parametrize("variants", ["epoll,thread", "py-threaded", "py-iterative,py-threaded"])
def test_few_servers_tell_nothing(variants):
    assert verdict_of(rows_of("--python", sys.executable, "--variants", variants)) == "skipped"
