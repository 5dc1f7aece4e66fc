# SPDX-License-Identifier: MIT
"""What is special to tcp/eintr: interrupted calls end well, in C and in Python."""
import subprocess
import sys
from functools import partial

from program import BUILD, ROOT, environment, kind, quick_rows

EINTR = BUILD / "tcp" / "eintr"
SCRIPT = ROOT / "experiments" / "tcp" / "eintr.py"
CALLS = {"recv", "recv-restart", "recv-timeout", "accept", "accept-restart", "connect",
         "connect-restart"}
rows_of = partial(quick_rows, EINTR)


def test_the_script():
    done = subprocess.run([sys.executable, str(SCRIPT)], stdout=subprocess.PIPE, check=True,
                          timeout=60)
    assert done.stdout == b"resumed resumed\n"  # pytest itself needs a Python later than 3.5


def test_calls():
    rows = rows_of("--trials", "3", "--python", sys.executable)
    samples = kind(rows, "sample")
    assert {s["variant"] for s in samples} == CALLS | {"python"}
    for sample in samples:
        if sample["variant"] in CALLS:
            assert sample["completed"] == 1 and sample["handled"] > 0
            assert sample["resumed"] + sample["eintr"] == 1
        else:
            assert (sample["recv"], sample["connect"]) == ("resumed", "resumed")
            assert sample["version"] == sys.version_info[0] * 100 + sys.version_info[1]


def test_without_python(tmp_path):
    rows = rows_of(env=environment(PATH=str(tmp_path), HOME=str(tmp_path)))
    assert {s["variant"] for s in kind(rows, "sample")} == CALLS
    verdict, = kind(rows, "verdict")
    assert verdict["claim"] == "tcp-eintr"
    assert verdict["numbers"]["since"]["n"] == 0
    assert "no CPython was found" in kind(rows, "note")[0]["text"]


def test_left_out():
    verdict, = kind(rows_of("--variants", "recv"), "verdict")
    assert verdict["verdict"] == "skipped"
