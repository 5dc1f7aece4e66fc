# SPDX-License-Identifier: MIT
"""What is special to gil/free_threaded: it takes an interpreter without a GIL, and no other."""
import subprocess
import sys

import pytest
from command import pythons
from program import BUILD, environment, kind, parse, quick_rows, run, verdict_of

FREE_THREADED = BUILD / "gil" / "free_threaded"
PYTHON = next((path for version, path in pythons().items() if version.endswith("t")), None)


def test_one_with_a_gil_is_none():
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        pytest.skip("this one has none")
    ended = run(FREE_THREADED, "--quick", "-o", "-", "--python", sys.executable)
    assert ended.returncode == 77, ended.stderr
    assert verdict_of(parse(ended.stdout)) == "skipped" and "--python" in ended.stderr


def test_no_interpreter(tmp_path):
    nowhere = str(tmp_path)
    ended = run(FREE_THREADED, "--quick", "-o", "-", env=environment(PATH=nowhere, HOME=nowhere))
    assert ended.returncode == 77, ended.stderr


@pytest.mark.skipif(not PYTHON, reason="no free-threaded CPython is here")
def test_books():
    rows = quick_rows(FREE_THREADED, "--python", PYTHON, "--trials", "2", "--duration", "10")
    gil_of = subprocess.run([PYTHON, "-X", "gil=1", "-c", "import sys; print(sys._is_gil_enabled())"],
                            stdout=subprocess.PIPE, check=True, encoding="utf-8")
    assert gil_of.stdout == "True\n"
    for sample in kind(rows, "sample"):
        assert sample["own_wrong"] == 0 and sample["python"].startswith("3.")
        for name in ("one", "own", "shared"):
            assert sample[f"{name}_updates"] > 0 and sample[f"{name}_ns"] > 0
        assert abs(sample["shared_x"]) <= sample["shared_updates"]
        assert sample["variant"] == "free" or sample["shared_x"] == 0
