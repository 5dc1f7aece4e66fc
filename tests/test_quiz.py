# SPDX-License-Identifier: MIT
"""scripts/quiz: asks, measures, and counts what was expected."""
import json
import re

import pytest
from program import BUILD, ROOT, environment, run, start

QUIZ = ROOT / "scripts/quiz"
CLAIMS = {"first": "the first is so", "second": "the second is so", "third": "the third is so"}


@pytest.fixture
def build(tmp_path):
    """A build with one program of a claim that holds, one that does not, and one that cannot be judged."""
    described = {"experiment": "counter", "group": "race", "order": 101, "summary": "How many?", "claims": CLAIMS}
    rows = [{"row": "run", "schema": 2, **described},
            *({"row": "verdict", "claim": claim, "verdict": verdict, "sentence": f"{claim} was measured"}
              for claim, verdict in zip(CLAIMS, ("holds", "not-seen", "skipped"))),
            {"row": "why", "text": "it is so"}, {"row": "end", "samples": 0}]
    (tmp_path / "described").write_text(json.dumps(described), encoding="utf-8")
    (tmp_path / "rows").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    program = tmp_path / "race/counter"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ncd {tmp_path}\n[ "$1" != --describe ] || exec cat described\n'
                       'cp rows "$4"\n[ ! -e fails ] || { echo "counter: no" >&2; exit 1; }\n', encoding="utf-8")
    program.chmod(0o755)
    return tmp_path


def played(answers, *arguments):
    process = start(QUIZ, *arguments, stdin=-1, env=environment())
    out, err = process.communicate(answers, timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("answers, score", [("h\nn\nh\n", "2 of 2"), ("r\nN\nh\n", "1 of 2"), ("\n\n\n", "0 of 0"),
                                            ("holds\nwhat\nd\n\n", "1 of 2"), ("h\nq\n", "0 of 0"), ("h\n", "0 of 0")])
def test_score(build, answers, score):
    """Of what this machine could judge; who ends before the measurement has none."""
    status, out, err = played(answers, build)
    assert (status, err) == (0, "")
    assert out.endswith(f"{score} as expected\n")
    measured = answers.count("\n") >= 3
    assert ("first was measured" in out) == ("Why: it is so" in out) == measured
    assert all(text in out for text in list(CLAIMS.values())[:answers.count("\n")])


def test_a_program_that_fails(build):
    (build / "fails").touch()
    assert played("h\n\n\n", build) [::2] == (1, f"quiz: {build}/race/counter: status 1: counter: no\n")


def test_a_real_one():
    status, out, err = played("h\nh\n", BUILD, "checkpoints")
    assert (status, err) == (0, "") and re.search(r"gil-check-between: HOLDS \(you expected holds\)", out)
    assert not [line for line in out.splitlines() if len(line) > 80]


@pytest.mark.parametrize("arguments", [["no/such"], [BUILD, "no-such"], ["--nonsense"], []])
def test_wrong_usage(arguments):
    ended = run(QUIZ, *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
