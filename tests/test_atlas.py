# SPDX-License-Identifier: MIT
"""What is special to buffers/atlas: a grid of sizes, filled, and told beforehand."""
import pytest
from program import BUILD, kind, parse, run

ATLAS = BUILD / "buffers" / "atlas"
SIZES = 3
WRITES = 3


def rows_of(*arguments):
    ended = run(ATLAS, "--quick", "--trials", "1", "-o", "-", *arguments)
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


@pytest.fixture(scope="module")
def rows():
    return rows_of("--sizes", str(SIZES))


def test_every_cell_is_filled_once(rows):
    for name in {sample["variant"] for sample in kind(rows, "sample")}:
        cells = [(s["asked_sndbuf_bytes"], s["asked_rcvbuf_bytes"], s["write_bytes"])
                 for s in kind(rows, "sample") if s["variant"] == name]
        pairs = SIZES if name == "pipe" else SIZES ** 2
        assert len(cells) == len(set(cells)) == pairs * WRITES


def test_all_that_was_held_came_out_again_in_order(rows):
    for sample in kind(rows, "sample"):
        assert sample["missing_bytes"] == sample["misplaced_bytes"] == 0
        assert 0 < sample["first_full_bytes"] <= sample["held_bytes"]


def test_udp_and_unix_are_told_beforehand(rows):
    """The charge of a message is measured, so this holds on any kernel."""
    told = [s["predicted_bytes"] == s["held_bytes"] for s in kind(rows, "sample")
            if s["variant"].startswith(("udp", "unix"))]
    assert sum(told) >= 0.95 * len(told)


def test_numbers_behind_the_verdict(rows):
    verdict, = kind(rows, "verdict")
    samples = kind(rows, "sample")
    literal = [s for s in samples if s["held_bytes"] == s["capacity_bytes"]]
    assert verdict["numbers"]["fillings"] == len(samples)
    assert verdict["numbers"]["exactly_granted"] == len(literal)


def test_one_kind_alone():
    samples = kind(rows_of("--variants", "pipe", "--sizes", "2"), "sample")
    assert {s["variant"] for s in samples} == {"pipe"}
