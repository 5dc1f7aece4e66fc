# SPDX-License-Identifier: MIT
"""scripts/intervals.py: what was measured in rounds is compared within them."""
import random
import statistics

import pytest
from intervals import of_rounds, ratio_interval, ratio_text

SLOW = (1, 1, 4, 1.5, 1, 7, 2, 1, 1, 3)  # what the machine did in each round


def test_a_slow_round_slows_all():
    """So it says nothing of their ratio, which is known exactly here."""
    own = of_rounds({"a": [10 * slow for slow in SLOW], "b": [9 * slow for slow in SLOW]})
    assert ratio_interval(own["b"], own["a"], random.Random(1)) == pytest.approx((0.9, 0.9))
    assert ratio_text(own["b"], own["a"], random.Random(1)) == "0.90 (0.90 to 0.90)"
    assert ratio_text(own["a"], own["a"], random.Random(1)) == "1"
    assert len({round(value, 9) for value in own["a"]}) == 1


def test_a_usual_round_is_as_measured():
    values = {"a": [10, 10, 10], "b": [20, 20, 20]}
    assert of_rounds(values) == {name: pytest.approx(own) for name, own in values.items()}


def test_a_value_that_is_off_by_itself_stays_so():
    own = of_rounds({"a": [10, 10, 10, 10, 10], "b": [10, 10, 30, 10, 10]})
    low, high = ratio_interval(own["b"], own["a"], random.Random(1))
    assert low == pytest.approx(1) and high > 1
    assert statistics.median(own["b"]) == pytest.approx(10)
