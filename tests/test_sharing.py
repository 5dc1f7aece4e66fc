# SPDX-License-Identifier: MIT
"""What is special to race/sharing: it is the same on every machine, so its rows are known."""
import os
from functools import partial

import pytest
from program import BUILD, kind, quick_rows, verdicts

SHARING = BUILD / "race" / "sharing"
PLACES = {"code", "global", "heap", "stack", "lent", "tls", "mapping"}
OF_EACH_THREAD = {"stack", "tls"}
rows_of = partial(quick_rows, SHARING)


@pytest.fixture(scope="module")
def all_samples():
    return kind(rows_of("--trials", "3"), "sample")


@pytest.fixture(scope="module")
def samples(all_samples):
    return [sample for sample in all_samples if "place" in sample]


def test_every_place_is_looked_at(samples):
    for second in ("thread", "process"):
        places = [s["place"] for s in samples if s["second"] == second]
        assert sorted(places) == sorted(3 * list(PLACES))


def test_addresses(samples):
    """A thread has its own stack; a process has everything at the same address."""
    for sample in samples:
        same = sample["first_address"] == sample["second_address"] != 0
        assert sample["same_address"] == same
        assert same == (sample["second"] == "process" or sample["place"] not in OF_EACH_THREAD)


def test_writes(samples):
    for sample in samples:
        if sample["place"] == "code":
            assert "seen" not in sample and "unwritten" not in sample
            continue
        expected = (sample["place"] == "mapping" if sample["second"] == "process"
                    else sample["place"] not in OF_EACH_THREAD)
        assert (sample["unwritten"], sample["seen"]) == (0, expected)


def test_without_what_the_claim_needs():
    assert set(verdicts(rows_of("--variants", "thread-heap")).values()) == {"skipped"}


def test_books_of_the_processes(all_samples):
    adding = [sample for sample in all_samples if "place" not in sample]
    assert sorted(s["variant"] for s in adding) == 3 * ["processes-atomic"] + 3 * ["processes-split"]
    for sample in adding:
        assert 0 <= sample["lost_updates"] <= sample["updates"]
        assert sample["lost_updates"] == 0 or sample["variant"] == "processes-split"
        assert sample["updates"] > 0


def test_processes_on_one_cpu():
    cpu = str(min(os.sched_getaffinity(0)))
    rows = rows_of("--cpus", cpu, "--variants", "processes-split,processes-atomic", "--trials", "1")
    assert verdicts(rows)["race-processes"] in ("holds", "not-seen")
