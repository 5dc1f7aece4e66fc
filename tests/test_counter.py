# SPDX-License-Identifier: MIT
"""What is special to race/counter: its controls are exact, and its books balance.

No test demands that a race occurs: it can happen, and need not.
"""
from functools import partial

import pytest
from program import BUILD, kind, parse, quick_rows, run, verdicts

COUNTER = BUILD / "race" / "counter"
RACY, SAFE = {"split", "volatile", "plain"}, {"mutex", "atomic"}
rows_of = partial(quick_rows, COUNTER, "--trials", "3")


def check_books(rows, threads, iterations):
    """Every sample's x and error add up to what a safe program ends at."""
    samples = kind(rows, "sample")
    exact = {"+/-": threads % 2 * iterations, "++": threads * iterations}
    for sample in samples:
        x, error = {"+/-": ("final_x", "error_updates"),
                    "++": ("increments_x", "lost_updates")}[sample["program"]]
        assert sample[error] == exact[sample["program"]] - sample[x]
        assert sample[error] == 0 or sample["variant"] in RACY
        assert (sample["threads"], sample["iterations"]) == (threads, iterations)
        # an update moves x by one: no thread can take it further than all of its kind together
        ups = (threads + 1) // 2 if sample["program"] == "+/-" else threads
        assert -(threads - ups) * iterations <= sample[x] <= ups * iterations
    return samples


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_books(threads):
    rows = rows_of("--threads", str(threads), "--iterations", "20k")
    samples = check_books(rows, threads, 20000)
    assert {sample["variant"] for sample in samples} == RACY | SAFE
    assert {sample["program"] for sample in samples} == {"+/-", "++"}
    assert verdicts(rows)["race-mutex-fixes"] == "holds"


def test_same_sign():
    rows = rows_of("--same-sign", "--iterations", "20k")
    assert {sample["program"] for sample in check_books(rows, 2, 20000)} == {"++"}
    assert verdicts(rows) == {"race-nonzero": "skipped", "race-zero-is-safe": "skipped",
                              "race-mutex-fixes": "holds"}
    assert len(kind(rows, "sample")) == 3 * len(RACY | SAFE)


@pytest.mark.parametrize("placement", ["spread", "same", "free"])
def test_placement(placement):
    rows = rows_of("--placement", placement, "--iterations", "20k")
    check_books(rows, 2, 20000)
    assert rows[0]["params"]["placement"] == placement


def test_only_the_mutex():
    rows = rows_of("--variants", "mutex", "--iterations", "20k")
    assert {sample["variant"] for sample in check_books(rows, 2, 20000)} == {"mutex"}
    assert verdicts(rows) == {"race-nonzero": "skipped", "race-zero-is-safe": "skipped",
                              "race-mutex-fixes": "holds"}


def test_only_split():
    rows = rows_of("--variants", "split", "--iterations", "20k")
    check_books(rows, 2, 20000)
    assert verdicts(rows)["race-mutex-fixes"] == "skipped"
    assert verdicts(rows)["race-nonzero"] in ("holds", "not-seen")


def test_few_updates_prove_nothing():
    """One update of each thread is exact without a mutex too."""
    rows = rows_of("--iterations", "1")
    check_books(rows, 2, 1)
    assert verdicts(rows)["race-mutex-fixes"] == "unclear"


def test_calibrated_iterations_are_recorded():
    """Without --quick and --iterations it chooses their number, and says which."""
    ended = run(COUNTER, "--trials", "1", "--variants", "split", "-o", "-")
    rows = parse(ended.stdout)
    iterations = rows[0]["params"]["iterations"]
    assert iterations >= 100000
    check_books(rows, 2, iterations)


def test_fewer_updates_under_the_mutex_if_calibrated():
    rows = rows_of("--variants", "split,mutex", "--trials", "1")
    most = rows[0]["params"]["iterations"]
    iterations = {sample["variant"]: sample["iterations"] for sample in kind(rows, "sample")}
    assert iterations == {"split": most, "mutex": most // 8}
    check_books([row for row in rows if row.get("variant") == "mutex"], 2, most // 8)
