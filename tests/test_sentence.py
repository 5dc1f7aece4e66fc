# SPDX-License-Identifier: MIT
"""scripts/sentence.py makes the same sentences as the programs: the unit test prints its cases."""
import math
import os

import pytest
from program import BUILD, parse, run
from sentence import sentence, value

UNIT = BUILD / "unit" / "test_sentence"


@pytest.fixture(scope="module")
def rows():
    if not os.access(UNIT, os.X_OK):
        pytest.skip(f"{UNIT} is not built: cmocka is missing, or make units was not run")
    ended = run(UNIT, "--print")
    assert (ended.returncode, ended.stderr) == (0, "")
    return parse(ended.stdout)


def test_as_the_program(rows):
    assert len(rows) > 10000
    different = [(row, made) for row in rows
                 if (made := sentence(row["template"], row["numbers"])) != row["sentence"]]
    assert different == []


def test_value_is_what_a_sentence_says(rows):
    """Of rows of one plain number: value() of it."""
    plain = [(name, x, row["sentence"]) for row in rows for name, x in row["numbers"].items()
             if row["template"] == f"{{{name}}}" and isinstance(x, float)]
    assert len(plain) > 1000
    assert [case for case in plain if value(*case[:2]) != case[2]] == []


@pytest.mark.parametrize("name, x, text", [
    ("elapsed_ns", 999.5, "1.00 us"), ("elapsed_ns", 3210, "3.21 us"), ("limit_s", 2, "2.00 s"),
    ("sent_bytes", 65536, "65,536 bytes"), ("moved_bytes_per_s", 4.7e6, "4.70 MB/s"),
    ("calls_per_s", 1234567.5, "1,234,568"), ("lost_share", 0.46, "46.0 %"),
    ("calls", 1e12, "1,000,000,000,000"), ("ratio", 0.00049, "0.00049"), ("ratio", 12.25, "12.2"),
    ("ratio", None, "-"), ("ratio", math.nan, "-"), ("lost_share", -math.inf, "-"),
])
def test_value(name, x, text):
    assert value(name, x) == text


@pytest.mark.parametrize("template, what", [
    ("of {other} it is", "'{other}'"), ("of {coun} it is", "'{coun}'"), ("of {} it is", "'{}'"),
    ("of {count.k} it is", "'{count.k}'"), ("of {text.n} it is", "'{text.n}'"),
    ("of {x.mid} it is", "'{x.mid}'"), ("of {x.} it is", "'{x.}'"),
    ("of {x.share.share} it is", "'{x.share.share}'"), ("of {y.share} it is", "'{y.share}'"),
    ("of {count {count} it is", "'{count {count}'"), ("of {count it is", "a brace"),
    ("of count} it is", "a brace"), ("of {count}} it is", "a brace"),
    ("of {{{count}} it is", "a brace"), ("of count it is {", "a brace"),
])
def test_mistakes(template, what):
    """Where the program ends with status 2 there is no sentence either."""
    numbers = {"count": 1, "text": "t", "x": {"k": 3, "n": 10, "low": 0.1, "high": 0.6},
               "y": {"mid": 1.5, "low": 1.4, "high": 1.6, "n": 9}}
    with pytest.raises(ValueError) as error:
        sentence(template, numbers)
    assert what in str(error.value) and template in str(error.value)
