# SPDX-License-Identifier: MIT
"""What is special to echo/python_cost: threads are counted where they are, and few trials decide nothing."""
import sys
from functools import partial

import pytest
from program import BUILD, kind, quick_rows, verdict_of

COST = BUILD / "echo" / "python_cost"
rows_of = partial(quick_rows, COST, "--python", sys.executable, "--trials", "1")


def test_books():
    rows = rows_of("--connections", "8", "--held", "9", "--duration", "200")  # a busy machine answers in so long
    samples = {sample["variant"]: sample for sample in kind(rows, "sample")}
    assert set(samples) == {"threads", "asyncio", "selectors"}
    for sample in samples.values():
        assert sample["connections"] == sample["served_connections"] == 8
        assert sample["in_window"] <= sample["requests"] and sample["server_cpu_ns"] > 0
        assert sample["more_connections"] == 8 <= sample["memory_bytes"]
    assert samples["threads"]["threads"] == 1 + 8
    assert samples["asyncio"]["threads"] == samples["selectors"]["threads"] == 1
    assert samples["asyncio"]["kernel_stack_bytes"] == 0 < samples["threads"]["kernel_stack_bytes"]


def test_one_trial_decides_nothing():
    assert verdict_of(rows_of()) == "unclear"


@pytest.mark.parametrize("variant", ["threads", "asyncio"])
def test_both_are_needed(variant):
    assert verdict_of(rows_of("--variants", variant)) == "skipped"
