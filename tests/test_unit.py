# SPDX-License-Identifier: MIT
"""What is special to race/unit: what belongs to whom is the same on every machine."""
import os
from functools import partial

import pytest
from program import BUILD, kind, quick_rows, verdict_of

UNIT = BUILD / "race" / "unit"
RESOURCES = ("shared_descriptor", "shared_directory", "shared_limit", "shared_account")
rows_of = partial(quick_rows, UNIT)


def check_samples(rows, cpus):
    samples = kind(rows, "sample")
    for sample in samples:
        thread = sample["variant"] == "thread"
        assert {sample[name] for name in RESOURCES if name in sample} == {int(thread)}
        assert sample["own_time"] == 1 and sample["unchanged"] == 0
        assert ("own_cpus" in sample) == (cpus > 1) and sample.get("own_cpus", 1) == 1
        assert sample.get("own_state") == (1 if thread else None)
    return samples


def test_what_is_whose():
    rows = rows_of()
    assert check_samples(rows, len(os.sched_getaffinity(0)))
    assert verdict_of(rows) == "holds"


def test_on_one_cpu():
    rows = rows_of("--cpus", str(min(os.sched_getaffinity(0))))
    assert check_samples(rows, 1)
    assert verdict_of(rows) == "holds"


def test_in_the_directory_that_the_second_one_goes_to(monkeypatch):
    """There is nothing to see of a change then, so it is no evidence."""
    monkeypatch.chdir("/")
    rows = rows_of("--trials", "3")
    assert all("shared_directory" not in sample for sample in kind(rows, "sample"))
    assert verdict_of(rows) == "holds"


@pytest.mark.parametrize("variant", ["thread", "process"])
def test_one_alone_tells_nothing(variant):
    assert verdict_of(rows_of("--variants", variant, "--trials", "1")) == "skipped"
