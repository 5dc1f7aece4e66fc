# SPDX-License-Identifier: MIT
"""What is special to race/quota: what the kernel counted, and that its cgroup goes with it."""
import os
import re
import signal
from functools import partial
from pathlib import Path

import pytest
from program import BUILD, finish, kind, quick_rows, run, parse, start, until, verdict_of

QUOTA = BUILD / "race" / "quota"
CGROUPS = Path("/sys/fs/cgroup")
rows_of = partial(quick_rows, QUOTA)


def made_by(process):
    return [path for path in CGROUPS.rglob(f"stallrace-{process.pid}") if path.is_dir()]


@pytest.fixture(scope="module", name="rows")
def fixture_rows():
    ended = run(QUOTA, "--quick", "-o", "-")
    if ended.returncode == 77:
        pytest.skip(parse(ended.stdout)[1]["sentence"])
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


def test_books(rows):
    cpus = len(os.sched_getaffinity(0))
    for sample in kind(rows, "sample"):
        assert sample["seen_cpus"] == cpus >= sample["processes"]
        assert 0 <= sample["throttled_periods"] <= sample["periods"] + 1  # the two are read one after the other
        assert sample["held_up"] == (sample["throttled_periods"] > 0)
        assert sample["stall_ns"] <= sample["elapsed_ns"]
        assert sample["variant"] != "unlimited" or not sample["held_up"]
    held_up = kind(rows, "verdict")[0]["numbers"]["held_up"]
    assert held_up["k"] == sum(sample["held_up"] for sample in kind(rows, "sample"))
    assert verdict_of(rows) == ("refuted" if held_up["k"] else "not-seen")


def test_without_a_quota(rows):
    assert verdict_of(rows_of("--variants", "unlimited")) == "skipped"


@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_the_cgroup_goes_with_it(rows, name):
    process = start(QUOTA, "--trials", "1000")
    until(lambda: made_by(process), "cgroup")
    process.send_signal(getattr(signal, name))
    finish(process)
    until(lambda: not made_by(process), "end of the cgroup")


@pytest.mark.skipif(os.geteuid() != 0, reason="is not root")
def test_who_may_make_none():
    ended = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", QUOTA, "--quick", "-o", "-")
    if "setpriv" in ended.stderr:
        pytest.skip(ended.stderr)
    assert ended.returncode in (0, 77), ended.stderr
    if ended.returncode == 77:
        assert re.search("no cgroup .*: ", kind(parse(ended.stdout), "verdict")[0]["sentence"])
