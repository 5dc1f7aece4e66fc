# SPDX-License-Identifier: MIT
"""What is special to buffers/atlas_tcp: a grid of sizes, filled, and told beforehand."""
import pytest
from program import BUILD, kind, parse, run

ATLAS_TCP = BUILD / "buffers" / "atlas_tcp"
SIZES = 3
WRITES = 2


def rows_of(*arguments):
    ended = run(ATLAS_TCP, "--quick", "--trials", "1", "-o", "-", *arguments)
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


@pytest.fixture(scope="module")
def rows():
    return rows_of("--sizes", str(SIZES))


def test_every_cell_is_filled_once(rows):
    for name in {sample["variant"] for sample in kind(rows, "sample")}:
        cells = [(s["asked_sndbuf_bytes"], s["asked_rcvbuf_bytes"], s["write_bytes"])
                 for s in kind(rows, "sample") if s["variant"] == name]
        assert len(cells) == len(set(cells)) == SIZES ** 2 * WRITES


def test_all_that_was_held_came_out_again_in_order(rows):
    for sample in kind(rows, "sample"):
        assert sample["missing_bytes"] == sample["misplaced_bytes"] == 0
        assert 0 < sample["first_full_bytes"] <= sample["held_bytes"]


def test_numbers_behind_the_verdict(rows):
    verdict, = kind(rows, "verdict")
    samples = kind(rows, "sample")
    literal = [s for s in samples if s["held_bytes"] == s["capacity_bytes"]]
    assert verdict["numbers"]["fillings"] == len(samples)
    assert verdict["numbers"]["exactly_granted"] == len(literal)


def test_loopback_alone():
    rows = rows_of("--variants", "tcp", "--sizes", "2")
    assert {s["variant"] for s in kind(rows, "sample")} == {"tcp"}
    verdict, = kind(rows, "verdict")
    assert verdict["numbers"]["veth_median_error"] is None
