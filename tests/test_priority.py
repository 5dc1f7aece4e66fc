# SPDX-License-Identifier: MIT
"""What is special to race/priority: an order of events, the same on every machine that has SCHED_FIFO."""
import os
import shutil

import pytest
from program import BUILD, kind, parse, run, verdict_of, verdicts

PRIORITY = BUILD / "race" / "priority"


def rows_of(*arguments):
    ended = run(PRIORITY, "--quick", "-o", "-", *arguments)
    if ended.returncode == 77:
        pytest.skip(kind(parse(ended.stdout), "verdict")[0]["sentence"])
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


@pytest.mark.parametrize("where", ["everywhere", "one CPU"])
def test_only_without_a_protocol_is_medium_first(where):
    cpus = ("--cpus", str(min(os.sched_getaffinity(0)))) if where == "one CPU" else ()
    rows = rows_of("--trials", "5", *cpus)
    for sample in kind(rows, "sample"):
        plain = sample["variant"] == "plain"
        assert sample["medium_first"] == plain
        assert sample["medium_ns"] >= 3000000 and sample["waited_ns"] <= sample["elapsed_ns"]
        assert not plain or sample["waited_ns"] >= sample["medium_ns"]
    assert verdict_of(rows) == "refuted"


def test_controls_alone():
    assert verdict_of(rows_of("--variants", "inherit,protect")) == "skipped"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="root and setpriv are needed")
def test_who_may_not():
    ended = run("prlimit", "--rtprio=0:0", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", PRIORITY,
                "--quick", "-o", "-")
    if not ended.stdout:
        pytest.skip(ended.stderr)
    assert ended.returncode == 77
    assert verdicts(parse(ended.stdout)) == {"race-priority": "skipped"}
