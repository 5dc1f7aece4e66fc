# SPDX-License-Identifier: MIT
"""What is special to gil/convoy: each echo is counted and intact, and it does without CPython.

No test demands that a reply is late: that is for the run to say.
"""
import sys

import pytest
from program import BUILD, environment, kind, parse, run

CONVOY = BUILD / "gil" / "convoy"
LOADS = {(0, 5000), (1, 5000), (2, 5000), (1, 500), (2, 500)}


def rows_of(*arguments, **options):
    ended = run(CONVOY, "--quick", "-o", "-", *arguments, **options)
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout), ended.stderr


def check_books(rows, requests):
    """Of each trial: there are more while the claim is undecided."""
    trials = {(row["trial"], row["variant"]) for row in kind(rows, "sample")}
    for at in trials:
        samples = [row for row in kind(rows, "sample") if (row["trial"], row["variant"]) == at]
        paced = [row for row in samples if "paced_ns" in row]
        closed, = [row for row in samples if "paced_ns" not in row]
        assert len(paced) == requests and all(row["paced_ns"] > 0 for row in paced)
        assert closed["echoes"] == 1 + requests + closed["closed_requests"]  # the first is to warm
        assert closed["wrong_echoes"] == 0
        assert 0 < closed["closed_p50_ns"] <= closed["closed_p99_ns"] <= closed["closed_elapsed_ns"]
        assert {(row["hogs"], row["interval_us"]) for row in samples} <= LOADS


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="runs this Python")
def test_books():
    rows, _ = rows_of("--python", sys.executable, "--requests", "3", "--pace", "5")
    version = ".".join(map(str, sys.version_info[:3]))
    assert {name.split("-")[0] for name in rows[0]["variants"]} == {"model", version}
    assert len(rows[0]["variants"]) == 2 * len(LOADS)
    check_books(rows, 3)


def test_the_model_alone(tmp_path):
    nowhere = str(tmp_path)
    rows, text = rows_of(env=environment(PATH=nowhere, HOME=nowhere))
    assert all(name.startswith("model-") for name in rows[0]["variants"])
    assert "no CPython 3" in text
    check_books(rows, rows[0]["params"]["requests"])


def test_only_one_load():
    rows, _ = rows_of("--variants", "model-1-5ms")
    assert [row["verdict"] for row in kind(rows, "verdict")] == ["skipped"]


def test_no_cpython():
    ended = run(CONVOY, "--quick", "--python", "/bin/true")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "/bin/true" in ended.stderr and ended.stderr.count("\n") == 1
