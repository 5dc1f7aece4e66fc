# SPDX-License-Identifier: MIT
"""What is special to buffers/atlas and buffers/atlas_tcp: a grid of sizes, filled, told beforehand."""
import pytest
from program import BUILD, kind, quick_rows

SIZES = 3
WRITES = {"atlas": 3, "atlas_tcp": 2}


def rows_of(name, *arguments):
    return quick_rows(BUILD / "buffers" / name, "--trials", "1", *arguments)


@pytest.fixture(scope="module", params=WRITES)
def run(request):
    """A program's name, and its rows."""
    return request.param, rows_of(request.param, "--sizes", str(SIZES))


def test_every_cell_is_filled_once(run):
    name, rows = run
    for variant in {sample["variant"] for sample in kind(rows, "sample")}:
        cells = [(s["asked_sndbuf_bytes"], s["asked_rcvbuf_bytes"], s["write_bytes"])
                 for s in kind(rows, "sample") if s["variant"] == variant]
        pairs = SIZES if variant == "pipe" else SIZES ** 2
        assert len(cells) == len(set(cells)) == pairs * WRITES[name]


def test_all_that_was_held_came_out_again_in_order(run):
    for sample in kind(run[1], "sample"):
        assert sample["missing_bytes"] == sample["misplaced_bytes"] == 0
        assert 0 < sample["first_full_bytes"] <= sample["held_bytes"]


def test_numbers_behind_the_verdict(run):
    verdict, = kind(run[1], "verdict")
    samples = kind(run[1], "sample")
    literal = [s for s in samples if s["held_bytes"] == s["capacity_bytes"]]
    shares = [verdict["numbers"][name] for name in ("sockets", "pipe", "literal")
              if name in verdict["numbers"]]
    assert sum(share["n"] for share in shares) == len(samples)
    assert sum(share["k"] for share in shares) == len(literal)


def test_udp_and_unix_are_told_beforehand():
    """The charge of a message is measured, so this holds on any kernel."""
    told = [s["predicted_bytes"] == s["held_bytes"]
            for s in kind(rows_of("atlas", "--sizes", str(SIZES)), "sample")
            if s["variant"].startswith(("udp", "unix"))]
    assert sum(told) >= 0.95 * len(told)


def test_one_kind_alone():
    samples = kind(rows_of("atlas", "--variants", "pipe", "--sizes", "2"), "sample")
    assert {s["variant"] for s in samples} == {"pipe"}


def test_loopback_alone():
    rows = rows_of("atlas_tcp", "--variants", "tcp", "--sizes", "2")
    assert {s["variant"] for s in kind(rows, "sample")} == {"tcp"}
    verdict, = kind(rows, "verdict")
    assert verdict["numbers"]["veth_share"] is None
