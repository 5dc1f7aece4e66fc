# SPDX-License-Identifier: MIT
"""What is special to gil/checkpoints: where x ends, under which rules."""
import pytest
from program import BUILD, kind, parse, run, verdict_of

PROGRAM = BUILD / "gil" / "checkpoints"


def samples_of(*arguments):
    ended = run(PROGRAM, "-o", "-", *arguments)
    assert ended.returncode == 0, ended.stderr
    rows = parse(ended.stdout)
    assert [row["verdict"] for row in kind(rows, "verdict")] == ["holds"]
    return {(row["variant"], row["program"]): row for row in kind(rows, "sample")}


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_ends(n):
    """Where updates can be lost every x between the extremes is reached."""
    samples = samples_of("--iterations", str(n))
    assert len(samples) == 3 * 7
    for (variant, program), sample in samples.items():
        loses = sample["between"] == 1 and "lock" not in program
        low, high = (-n, n) if loses else (0, 0)
        assert (sample["lowest_x"], sample["highest_x"]) == (low, high), (variant, program)
        assert sample["results"] == high - low + 1
        least = min(n, 2) if loses else 2 * n
        assert (sample["increments_lowest_x"], sample["increments_highest_x"]) == (least, 2 * n)
        assert sample["increments_results"] == 2 * n - least + 1


def test_rules():
    between = {key: row["between"] for key, row in samples_of("--iterations", "1").items()}
    assert {program for (variant, program), is_so in between.items()
            if variant == "from310" and is_so} == {"x += f()"}
    assert all(is_so for (variant, _), is_so in between.items() if variant == "threads")


def test_other_check_points_refute_it():
    """What the rules up to 3.9 would lose is expected of 3.10 too, and does not come out."""
    ended = run(PROGRAM, "--quick", "--sham", "gil-check-between", "-o", "-")
    assert verdict_of(parse(ended.stdout)) == "refuted"
