# SPDX-License-Identifier: MIT
"""What is special to tcp/python_calls: every Python since 2.7 answers alike."""
import subprocess
import sys
from functools import partial

import pytest
from program import BUILD, ROOT, environment, kind, parse, quick_rows, run, verdicts

PROGRAM = BUILD / "tcp" / "python_calls"
SCRIPT = ROOT / "experiments" / "tcp" / "python_calls.py"
rows_of = partial(quick_rows, PROGRAM)


@pytest.mark.parametrize("arguments, printed", [
    (["sendall", "text"], "None 8 16 TypeError"), (["send", "number"], "8 8 16 bound")])
def test_the_script(arguments, printed):
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments], stdout=subprocess.PIPE,
                          check=True, timeout=60, encoding="utf-8")
    assert done.stdout == f"{printed}\n"


def test_books():
    rows = rows_of("--python", sys.executable)
    for sample in kind(rows, "sample"):
        assert (sample["sendall_returned"], sample["send_returned"], sample["bind_result"]) == (
            "None", "8", "TypeError")
        assert sample["lost_bytes"] == sample["sendall_counted"] == sample["text_bound"] == 0
        assert sample["sendall_none"] == sample["send_counted"] == sample["text_type_error"] == 1
    assert verdicts(rows) == {"py-sendall-returns": "refuted", "py-port-is-string": "refuted"}


def test_no_interpreter(tmp_path):
    nowhere = str(tmp_path)
    ended = run(PROGRAM, "--quick", "-o", "-", env=environment(PATH=nowhere, HOME=nowhere))
    assert ended.returncode == 77, ended.stderr
    assert set(verdicts(parse(ended.stdout)).values()) == {"skipped"}


def test_another_implementation(tmp_path):
    """pypy, jython ... may be scripts, and are named; what says that it is another one is one."""
    other = tmp_path / "pypy3"
    other.write_text(f'#!/bin/sh\n[ "$3" = -c ] && echo "pypy 3 9 16 1 {other}" && exit\n'
                     f'exec "{sys.executable}" "$@"\n')
    other.chmod(0o755)
    rows = rows_of(env=environment(PATH=f"{tmp_path}:/usr/bin:/bin", HOME=str(tmp_path)))
    assert rows[0]["variants"]["pypy3.9.16"] == "PyPy"
    assert "pypy3.9.16" in {sample["variant"] for sample in kind(rows, "sample")}
    assert run(BUILD / "gil" / "main_first", "--quick", "--python", str(other)).returncode == 2


@pytest.mark.parametrize("wrong", ["/bin/true", "/no/such/python"])
def test_no_python(wrong):
    ended = run(PROGRAM, "--quick", f"--python={wrong}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"'{wrong}' is no Python that runs here" in ended.stderr and ended.stderr.count("\n") == 1
