# SPDX-License-Identifier: MIT
"""What is special to echo/one_thread: who waits is a matter of the server, not of the machine's load."""
import os
import shutil
import sys
from functools import partial

import pytest
from program import BUILD, busy_loops, environment, kind, quick_rows, verdicts

ONE_THREAD = BUILD / "echo" / "one_thread"
ITERATIVE = {"iterative", "py-run"}
rows_of = partial(quick_rows, ONE_THREAD)


@pytest.mark.parametrize("loops", [0, 4])
def test_who_waits(loops):
    with busy_loops(loops):
        rows = rows_of("--attempts", "4")
    for sample in kind(rows, "sample"):
        assert sample["waited"] == (sample["variant"] in ITERATIVE)
        assert sample["wrong_bytes"] == 0 < sample["latency_ns"]
        if sample["waited"]:
            assert sample["held_ns"] >= rows[0]["params"]["hold_ms"] * 1000000
    left_out = rows[0]["params"].get("left_out", {})
    assert verdicts(rows) == {"srv-iterative-event": "refuted",
                              "srv-run-is-start": "skipped" if "py-run" in left_out else "refuted"}


def test_threads():
    """start() makes one for each client, beside the main one; run() makes none."""
    for sample in kind(rows_of("--variants", "py-start,py-run"), "sample"):
        if sample["variant"] == "py-start":
            assert sample["threads"] >= 3  # one of the client before may not have ended yet
        else:
            assert sample["threads"] == 1


def test_without_node(tmp_path):
    """It is left out with the reason; the claim is judged by the other event loops."""
    (tmp_path / "python3").symlink_to(os.path.realpath(sys.executable))
    rows = rows_of(env=environment(PATH=str(tmp_path)))
    assert rows[0]["params"]["left_out"]["node"] == "no node runs here"
    verdict, = [row for row in kind(rows, "verdict") if row["claim"] == "srv-iterative-event"]
    assert verdict["verdict"] == "refuted" and "Node.js was not tried" in verdict["sentence"]


@pytest.mark.parametrize("variant", ["epoll", "iterative", "py-run", "node"])
def test_one_alone_tells_nothing(variant):
    if variant == "node" and not shutil.which("node"):
        pytest.skip("there is no Node.js")
    assert set(verdicts(rows_of("--variants", variant)).values()) == {"skipped"}
