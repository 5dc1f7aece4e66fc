# SPDX-License-Identifier: MIT
"""What is special to tcp/many_peers: who gets an answer, and who gets what was sent to all."""
import pytest
from program import BUILD, kind, parse, run

MANY_PEERS = BUILD / "tcp" / "many_peers"
LINK = {"broadcast-link", "multicast-link"}


def rows_of(*arguments):
    ended = run(MANY_PEERS, "--quick", "-o", "-", *arguments)
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


def check(rows):
    params = rows[0]["params"]
    samples = kind(rows, "sample")
    for sample in samples:
        if sample["part"] == "turns":
            check_turns(sample, params)
        else:
            check_crowd(sample, params)
    return {sample["variant"] for sample in samples}


def check_turns(sample, params):
    peers, answers = params["peers"], params["peers"] * params["rounds"]
    assert (sample["answers"], sample["wrong_answers"]) == (answers, 0)
    assert sample["server_sockets"] == (1 if sample["variant"] == "udp" else 1 + peers)
    assert sample["server_calls"] >= 2 * answers


def check_crowd(sample, params):
    assert (sample["sends"], sample["receivers"]) == (params["messages"], params["receivers"])
    assert sample["received_datagrams"] <= sample["sends"] * sample["receivers"]
    assert (sample["wrong_datagrams"], sample["outsider_datagrams"]) == (0, 0)
    if sample["variant"] in LINK:  # their own hosts' counters: nobody else is counted
        assert sample["out_datagrams"] == sample["sends"]
        assert sample["in_datagrams"] == sample["received_datagrams"]


def test_all():
    rows = rows_of()
    variants = check(rows)
    assert variants in ({"udp", "tcp", "broadcast", "multicast"},
                        {"udp", "tcp", "broadcast", "multicast"} | LINK)
    verdict, = kind(rows, "verdict")
    assert verdict["verdict"] in ("holds", "not-seen")


@pytest.mark.parametrize("arguments", [
    ("--peers", "2", "--rounds", "1", "--receivers", "2", "--messages", "1"),
    ("--peers", "200", "--rounds", "2", "--receivers", "64", "--messages", "100"),
], ids=["fewest", "most"])
def test_numbers(arguments):
    check(rows_of(*arguments))


def test_tcp_alone_tells_nothing():
    rows = rows_of("--variants", "tcp")
    assert [row["verdict"] for row in kind(rows, "verdict")] == ["skipped"]
