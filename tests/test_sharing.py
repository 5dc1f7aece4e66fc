# SPDX-License-Identifier: MIT
"""What is special to race/sharing: it is the same on every machine, so its rows are known."""
from functools import partial

import pytest
from program import BUILD, kind, quick_rows

SHARING = BUILD / "race" / "sharing"
PLACES = {"code", "global", "heap", "stack", "lent", "tls", "mapping"}
OF_EACH_THREAD = {"stack", "tls"}
rows_of = partial(quick_rows, SHARING)


@pytest.fixture(scope="module")
def samples():
    return kind(rows_of("--trials", "3"), "sample")


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
    verdict, = kind(rows_of("--variants", "thread-heap"), "verdict")
    assert verdict["verdict"] == "skipped"
