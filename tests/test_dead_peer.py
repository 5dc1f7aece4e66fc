# SPDX-License-Identifier: MIT
"""What is special to tcp/dead_peer: who is told that the peer has vanished, and by which error."""
import pytest
from program import BUILD, kind, parse, run, verdicts

DEAD_PEER = BUILD / "tcp" / "dead_peer"


def rows_of(*arguments):
    ended = run(DEAD_PEER, "--quick", "--trials", "1", "-o", "-", *arguments)
    assert ended.returncode in (0, 77), ended.stderr
    if ended.returncode == 77:
        pytest.skip("there are no namespaces here")
    return parse(ended.stdout)


def test_deaths():
    rows = rows_of("--connections", "2")
    samples = kind(rows, "sample")
    assert len(samples) == 3 * 4 * 2
    for sample in samples:
        assert sample["failed"] == (sample["error"] != "none")
        if sample["variant"] != "host":
            assert sample["error"] in ("EPIPE", "ECONNRESET")
        elif sample["option"] in ("user-timeout", "idle"):
            assert sample["error"] == "ETIMEDOUT"
        else:
            assert sample["error"] == "none" and sample["doublings"] >= 3
    assert {sample["accepted_sends"] for sample in samples
            if (sample["variant"], sample["option"]) == ("host", "idle")} == {0}
    assert all(sample["accepted_sends"] >= 1 for sample in samples if sample["variant"] == "process")
    assert verdicts(rows) == {"tcp-dead-peer": "depends"}


def test_one_death_alone_says_nothing():
    assert verdicts(rows_of("--variants", "process")) == {"tcp-dead-peer": "skipped"}
