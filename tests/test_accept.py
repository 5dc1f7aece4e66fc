# SPDX-License-Identifier: MIT
"""What is special to polling/accept: who gets the connection, and who waits for the next."""
import errno

from program import BUILD, kind, parse, run

ACCEPT = BUILD / "polling" / "accept"


def test_outcomes():
    ended = run(ACCEPT, "--quick", "--late", "50ms", "-o", "-")
    assert ended.returncode == 0, ended.stderr
    rows = parse(ended.stdout)
    for sample in kind(rows, "sample"):
        variant = sample["variant"]
        assert sample["not_ready"] == sample["not_taken"] == sample["free_blocked"] == 0
        assert sample["accept_errno"] == (errno.EAGAIN if variant == "taken-nonblock" else 0)
        if variant == "taken":
            assert sample["accept_sleeps"] > 0
        if variant == "queued":  # an open connection on which nothing was sent
            assert sample["recv_result"] == -errno.EAGAIN
        assert sample["accept"] == ("EAGAIN" if sample["accept_errno"] else "ok")
        assert sample["blocked"] == (variant == "taken")
    assert [row["claim"] for row in kind(rows, "verdict")] == ["poll-accept-blocks"]
