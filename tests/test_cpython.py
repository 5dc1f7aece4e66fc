# SPDX-License-Identifier: MIT
"""What is special to gil/cpython: its books balance, its controls are exact, it finds interpreters.

No test demands that an interpreter loses updates: it can happen, and need not.
"""
import re
import sys
from collections import Counter
from functools import partial

import pytest
from program import BUILD, environment, kind, parse, quick_rows, run, verdicts

CPYTHON = BUILD / "gil" / "cpython"
PROGRAMS = {"plain", "call", "call_first", "split", "attribute", "item", "locked"}

pytestmark = pytest.mark.skipif(sys.implementation.name != "cpython", reason="runs this Python")
rows_of = partial(quick_rows, CPYTHON)


def gil_here():
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def test_books():
    rows = rows_of("--python", sys.executable, "--trials", "2", "--iterations", "50k")
    samples = kind(rows, "sample")
    drops, inside = Counter(), Counter()
    for place in kind(rows, "place"):
        at = place["trial"], place["variant"]
        assert place["inside"] in (0, 1) and place["drops"] > 0
        drops[at] += place["drops"]
        inside[at] += place["drops"] * place["inside"]
    for sample in samples:
        at = sample["trial"], sample["variant"]
        assert (sample["drops"], sample["drops_inside"]) == (drops[at], inside[at])
        assert {name[:-2] for name in sample if name.endswith("_x")} == PROGRAMS
        assert sample["locked_x"] == 0
        assert (sample["iterations"], sample["short_iterations"]) == (50000, 6250)
        assert all(abs(sample[name]) <= 50000 for name in sample if name.endswith("_x"))
        assert all(sample[name] > 0 for name in sample if name.endswith("_elapsed_ns"))


def test_one_interpreter_and_its_model():
    """However often it is named, and only with the rules that it needs."""
    variants = rows_of("--python", f"{sys.executable},{sys.executable}")[0]["variants"]
    version = ".".join(map(str, sys.version_info[:3]))
    python, model = variants
    assert python.startswith(version) and model.startswith("model-")
    assert variants[python] != variants[model]


@pytest.mark.skipif(sys.version_info < (3, 10) or not gil_here(),
                    reason="needs 3.10's check points")
def test_one_update_shows_nothing():
    """Where x += f() loses nothing either, the GIL was not offered: no trial was a test."""
    rows = rows_of("--python", sys.executable, "--iterations", "1")
    checks, lost = kind(rows, "verdict")
    assert checks["verdict"] == "not-seen" or checks["numbers"]["call"]["k"]
    assert lost["verdict"] == ("holds" if lost["numbers"]["any"]["k"] else "not-seen")


def test_old_interpreters_alone_are_no_test():
    old = [name for name in rows_of("--trials", "1", "--iterations", "1")[0]["variants"]
           if re.match(r"2\.|3\.[2-9]\.", name)]
    if not old:
        pytest.skip("no CPython up to 3.9 is here")
    rows = rows_of("--iterations", "1", "--variants", ",".join(old))
    checks, lost = kind(rows, "verdict")
    assert checks["verdict"] == "skipped"
    assert lost["verdict"] == ("holds" if lost["numbers"]["any"]["k"] else "not-seen")


def test_the_model_since_310_loses_only_with_a_call():
    rows = rows_of()
    for sample in kind(rows, "sample"):
        if sample["variant"] == "model-3.10":
            lost = {name for name in sample if name.endswith("_x") and sample[name]}
            assert lost <= {"call_x"}
            assert sample["drops_inside"] == 0


def test_no_interpreter(tmp_path):
    nowhere = str(tmp_path)
    ended = run(CPYTHON, "--quick", "-o", "-", env=environment(PATH=nowhere, HOME=nowhere))
    assert ended.returncode == 77, ended.stderr
    assert set(verdicts(parse(ended.stdout)).values()) == {"skipped"}


@pytest.mark.parametrize("wrong", ["/bin/true", "/no/such/python", f"{sys.executable},/bin/false"])
def test_no_cpython(wrong):
    ended = run(CPYTHON, "--quick", f"--python={wrong}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--python" in ended.stderr and wrong.split(",")[-1] in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_shims_are_tried_last(tmp_path):
    """A script on PATH only counts if there is nothing else."""
    shim = tmp_path / "python3"
    shim.write_text(f'#!/bin/sh\necho noise >&2\nexec "{sys.executable}" "$@"\n')
    shim.chmod(0o755)
    (tmp_path / "python2").write_text("#!/bin/sh\necho nothing >&2\nexit 127\n")
    (tmp_path / "python2").chmod(0o755)
    env = environment(PATH=str(tmp_path), HOME=str(tmp_path))
    ended = run(CPYTHON, "--quick", "-o", "-", "--iterations", "10k", env=env)
    assert ended.returncode == 0, ended.stderr
    assert len(parse(ended.stdout)[0]["variants"]) == 2
