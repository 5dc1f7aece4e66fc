# SPDX-License-Identifier: MIT
"""What is special to gil/main_first: the sum is exact, whatever comes first."""
import subprocess
import sys
from functools import partial

from program import BUILD, ROOT, environment, kind, quick_rows, run

MAIN_FIRST = BUILD / "gil" / "main_first"
SCRIPT = ROOT / "experiments" / "gil" / "main_first.py"
rows_of = partial(quick_rows, MAIN_FIRST)


def test_the_script():
    for interval in ([], ["100"]):
        done = subprocess.run([sys.executable, str(SCRIPT), *interval], stdout=subprocess.PIPE,
                              check=True, timeout=60)
        assert sorted(done.stdout.split(b"\n")) == [b"", b"main", b"sum 4999950000"]


def test_one_interpreter():
    rows = rows_of("--python", sys.executable, "--trials", "2", "--short-interval-us", "50")
    samples = kind(rows, "sample")
    variants = {sample["variant"] for sample in samples}
    assert len(variants) == 3 and "c" in variants
    for sample in samples:
        assert sample["wrong_output"] == 0 and sample["main_first"] in (0, 1)
        assert sample["interval_us"] == (50 if sample["variant"].endswith("-short") else 0)


def test_without_python(tmp_path):
    rows = rows_of(env=environment(PATH=str(tmp_path), HOME=str(tmp_path)))
    assert {sample["variant"] for sample in kind(rows, "sample")} == {"c"}
    verdict, = kind(rows, "verdict")
    assert verdict["verdict"] in ("holds", "not-seen")
    assert verdict["numbers"]["python"]["n"] == verdict["numbers"]["hurried"]["n"] == 0


def test_a_python_that_is_none():
    ended = run(MAIN_FIRST, "--quick", "--python", "/bin/true")
    assert ended.returncode == 2 and "/bin/true" in ended.stderr
