# SPDX-License-Identifier: MIT
"""What is special to tcp/visible: which connects reach which address, and what of the host's name is told."""
import re

import pytest
from program import BUILD, kind, parse, run, verdict_of

VISIBLE = BUILD / "tcp" / "visible"
REACHED = {"any": (1, 1, 1, 1, 1), "localhost": (1, 0, 0, 0, 0), "name-127.0.1.1": (0, 0, 1, 0, 0),
           "name-card": (0, 0, 0, 1, 1)}


def rows_of(*arguments):
    ended = run(VISIBLE, "--quick", "-o", "-", *arguments)
    assert ended.returncode in (0, 77), ended.stderr
    if ended.returncode == 77:
        pytest.skip("there are no namespaces here")
    return parse(ended.stdout)


def test_who_reaches_it():
    rows = rows_of()
    for sample in kind(rows, "sample"):
        reached = tuple(sample[field] for field in
                        ("at_127_0_0_1", "at_127_0_0_2", "at_127_0_1_1", "at_card", "from_outside"))
        assert reached == REACHED[sample["variant"]]
        assert sample["outside_error"] == ("ok" if sample["from_outside"] else "ECONNREFUSED")
        assert sample["everywhere"] == all(reached) and sample["own_only"] in (0, 1)
    assert verdict_of(rows) == "depends"
    verdict, = kind(rows, "verdict")
    assert re.fullmatch(r"127[.0-9]+, a loopback address|an address outside of 127/8|nothing: a name server decides",
                        verdict["numbers"]["here"])


def test_one_address_alone_says_nothing():
    assert verdict_of(rows_of("--variants", "any")) == "skipped"
