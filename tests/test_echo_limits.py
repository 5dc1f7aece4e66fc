# SPDX-License-Identifier: MIT
"""echo-limits: how fast an echo can be here, whatever the server.  No test looks at a speed."""
import json
import signal
import time

import pytest
from program import BUILD, finish, left_behind, options, parse, run, start

LIMITS = BUILD / "echo" / "echo-limits"
pytestmark = pytest.mark.skipif(not LIMITS.exists(), reason="echo-limits is not built")


def limits(*arguments):
    return run(LIMITS, *arguments)


@pytest.mark.parametrize("size", [1, 64, 4096, 32768])
def test_the_limits_are_measured(size, tmp_path):
    ended = limits("--size", str(size), "--duration", "20", "-o", str(tmp_path / "rows.jsonl"))
    assert (ended.returncode, ended.stderr, len(ended.stdout.splitlines())) == (0, "", 1)
    row, = parse((tmp_path / "rows.jsonl").read_text())
    assert (row["size_bytes"], row["wrong_bytes"]) == (size, 0)
    for loop in ("pingpong", "bulk"):
        assert row[f"{loop}_requests"] > 0
        assert row[f"{loop}_elapsed_ns"] >= 20000000
    assert row["bulk_window"] >= 2


def test_the_limits_go_to_standard_output():
    ended = limits("--duration", "20", "-o", "-")
    assert json.loads(ended.stdout)["row"] == "limits"
    assert len(ended.stderr.splitlines()) == 1


def test_the_options_of_the_limits_are_checked():
    ended = limits("--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    for option in options(ended.stdout):
        if option.is_number:
            for bad in (option.low - 1, option.high + 1, "x"):
                refused = limits(f"--{option.name}", str(bad))
                assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)


def test_an_interrupted_limit_leaves_nothing():
    process = start(LIMITS, "--duration", "20000")
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert finish(process).returncode == -signal.SIGTERM
    assert left_behind(process) == []
