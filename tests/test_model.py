# SPDX-License-Identifier: MIT
"""What is special to gil/model: which policies are exact always, and that its books balance.

No test demands that an update is lost, or that the lock changes hands: it can, and need not.
"""
import pytest
from program import BUILD, kind, parse, run, verdicts

MODEL = BUILD / "gil" / "model"
EXACT = {"from-3.10", "mutex"}  # in every trial; the others may lose updates
LOSES = {"ticker-2.7", "up-to-3.9", "from-3.10-call", "none"}
INSIDE = ("drops_load_global", "drops_call", "drops_inplace_add")
OPCODES = ("drops_for_iter", "drops_load_global", "drops_call", "drops_inplace_add",
           "drops_store_global", "drops_jump", "drops_acquire", "drops_release")
ITERATIONS = 50000


def rows_of(*arguments):
    ended = run(MODEL, "--quick", "--iterations", str(ITERATIONS), "-o", "-", *arguments)
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


@pytest.mark.parametrize("arguments", [(), ("--interval-us", "100"), ("--no-forced-switching",)],
                         ids=" ".join)
def test_books(arguments):
    rows = rows_of(*arguments)
    samples = kind(rows, "sample")
    assert {sample["variant"] for sample in samples} == EXACT | LOSES
    for sample in samples:
        variant, drops = sample["variant"], sum(sample[field] for field in OPCODES)
        assert sample["final_x"] == 0 or variant in LOSES
        # an update moves x by one: neither thread can take it further than all of its own
        assert abs(sample["final_x"]) <= sample["iterations"]
        assert sample["drops_inside"] == sum(sample[field] for field in INSIDE) or (
            variant == "mutex")
        if variant == "none":
            assert drops == sample["switches"] == 0
        if variant == "from-3.10":
            assert drops == sample["drops_jump"]
        if variant == "from-3.10-call":
            assert drops == sample["drops_jump"] + sample["drops_call"]
        if variant == "ticker-2.7":  # 5 of its 6 opcodes count, down from 100 to below 0
            assert drops == 2 * 5 * ITERATIONS // 101
        if variant == "up-to-3.9" and "--no-forced-switching" not in arguments:
            assert sample["switches"] >= drops
    assert verdicts(rows)["gil-checks"] in ("holds", "not-seen")


def test_time_line():
    """One thread holds the lock at a time, and not the same one twice."""
    rows = rows_of("--interval-us", "100")
    holds = kind(rows, "hold")
    assert holds and {hold["trial"] for hold in holds} == {0}
    assert "mutex" not in {hold["variant"] for hold in holds}
    for variant in LOSES | EXACT:
        line = [hold for hold in holds if hold["variant"] == variant]
        assert all(0 <= hold["begin_ns"] <= hold["end_ns"] for hold in line)
        if variant != "none":
            for before, after in zip(line, line[1:]):
                assert before["end_ns"] <= after["begin_ns"]
                assert before["thread"] != after["thread"]


def test_some_variants():
    rows = rows_of("--variants", "from-3.10,mutex")
    assert verdicts(rows) == {"gil-not-your-data": "skipped", "gil-checks": "skipped"}
    rows = rows_of("--variants", "ticker-2.7")
    assert verdicts(rows)["gil-checks"] == "skipped"
    assert verdicts(rows)["gil-not-your-data"] in ("holds", "not-seen")


def test_calibrated_iterations_are_recorded():
    """Without --quick and --iterations it chooses their number, and says which."""
    rows = parse(run(MODEL, "--trials", "1", "--variants", "up-to-3.9,mutex", "-o", "-").stdout)
    iterations = rows[0]["params"]["iterations"]
    assert iterations > 0
    for sample in kind(rows, "sample"):  # the mutex, which costs more, gets a quarter
        assert sample["iterations"] == (
            iterations if sample["variant"] == "up-to-3.9" else (iterations + 3) // 4)
