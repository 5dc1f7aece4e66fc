# SPDX-License-Identifier: MIT
"""What is special to echo/overlap: what overlaps is the model's, and other work takes the CPU time it says."""
import socket
from functools import partial

import pytest
from echo import Server, receive
from program import BUILD, busy_loops, kind, quick_rows, verdict_of

OVERLAP = BUILD / "echo" / "overlap"
SEVERAL = {"thread", "pool", "fork"}
rows_of = partial(quick_rows, OVERLAP)


def check_books(rows):
    work_ns = rows[0]["params"]["work_ms"] * 1000000
    for sample in kind(rows, "sample"):
        assert sample["tick_done"] == (sample["variant"] != "iterative")
        assert sample["tick_ns"] > 0 < sample["request_ns"] and sample["work_ns"] >= work_ns
        if sample["variant"] not in SEVERAL:
            assert sample.get("answered", 0) == 0  # one thread has one thing to do


def test_who_overlaps():
    rows = rows_of()
    check_books(rows)
    assert verdict_of(rows) in ("depends", "unclear")


def test_beside_other_programs():
    with busy_loops(4):
        rows = rows_of()
    check_books(rows)
    assert verdict_of(rows) in ("depends", "unclear")


@pytest.mark.parametrize("variant", ["iterative", "epoll", "thread"])
def test_one_kind_alone_tells_nothing(variant):
    assert verdict_of(rows_of("--variants", variant, "--trials", "7")) == "skipped"


@pytest.mark.parametrize("message", [b"30000", b"0", b"no number"])
def test_other_work(message):
    """A message from that port alone says for how long to compute; all are answered."""
    with socket.socket() as worker:
        worker.bind(("127.0.0.1", 0))
        with Server("--work-port", str(worker.getsockname()[1])) as server, server.connect() as client:
            before = server.cpu_s()
            client.sendall(b"900000")
            assert receive(client, 6) == b"900000"
            worker.connect(server.address)
            worker.sendall(message)
            assert receive(worker, len(message)) == message
            used = server.cpu_s() - before
            assert (0.02 if message == b"30000" else 0) <= used < 0.5
