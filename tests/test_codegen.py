# SPDX-License-Identifier: MIT
"""What is special to race/codegen: what it says of a loop fits its assembly."""
import os
import shutil
import signal
import stat

import pytest
from program import BUILD, environment, finish, kind, parse, run, session, start, until

CODEGEN = BUILD / "race" / "codegen"
SHORT = ("--quick", "--trials", "1", "--iterations", "20k", "-o", "-")
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]

needs_compiler = pytest.mark.skipif(not COMPILERS, reason="neither gcc nor clang is here")


def children(process):
    return [pid for pid in session(process.pid) if pid != process.pid]


def rows_of(*arguments, folder, path=None):
    env = environment(TMPDIR=str(folder), **({"PATH": path} if path else {}))
    ended = run(CODEGEN, *SHORT, *arguments, env=env)
    assert not list(folder.iterdir())  # nothing stays behind
    return ended, parse(ended.stdout)


@needs_compiler
def test_loops(tmp_path):
    ended, rows = rows_of("--levels", "4", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    samples = kind(rows, "sample")
    assert {s["compiler"] for s in samples} >= set(COMPILERS)
    assert {(s["compiler"], s["level"], s["kind"]) for s in samples} >= {
        (c, f"-O{level}", what) for c in COMPILERS for level in range(4)
        for what in ("plain", "volatile", "relaxed")}
    for sample in samples:
        assert (sample["between_instructions"] >= 0) == (sample["class"] in ("load-store", "one"))
        for field in ("one_cpu_lost_updates", "cpus_lost_updates"):
            assert 0 <= sample.get(field, 0) < 2 * sample["iterations"]
            assert sample.get(field, 0) == 0 or sample["kind"] != "atomic"
        if sample["class"] == "one":  # no timer interrupts within an instruction
            assert sample["one_cpu_lost_updates"] == 0
    assert len(kind(rows, "code")) == len(samples)


@needs_compiler
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the text of another machine")
def test_code_is_classified(tmp_path):
    rows = rows_of("--levels", "4", folder=tmp_path)[1]
    for row in kind(rows, "code"):
        marks = [line[:7].strip() for line in row["loop"].splitlines()]
        if row["class"] == "load-store":
            store = marks.index("store")
            load = max(at for at, mark in enumerate(marks[:store]) if mark == "load")
            assert store - load - 1 == row["between_instructions"]
            assert "x(%rip)" in row["loop"]
        assert row["class"] != "locked" or "lock " in row["loop"]
        assert row["class"] != "one" or "add" in marks
    classes = {row["variant"]: row["class"] for row in kind(rows, "code")}
    for compiler in COMPILERS:
        assert classes[f"{compiler}-O2-atomic"] == "locked"
        assert classes[f"{compiler}-O2-volatile"] in ("load-store", "one")


@needs_compiler
def test_verdict_is_that_of_the_rows(tmp_path):
    """Of what compilers made of x += 1; the atomic control is no evidence."""
    rows = rows_of(folder=tmp_path)[1]
    verdict, = kind(rows, "verdict")
    for number, field in (("one", "one_cpu_lost_updates"), ("several", "cpus_lost_updates")):
        lost = [s[field] for s in kind(rows, "sample") if s["kind"] != "atomic" and field in s]
        found = verdict["numbers"][number]
        assert (found["k"], found["n"]) == (sum(x != 0 for x in lost), len(lost))
    seen = any(verdict["numbers"][number]["k"] for number in ("one", "several"))
    assert verdict["verdict"] == ("holds" if seen else "not-seen")


@needs_compiler
@pytest.mark.parametrize("interrupted", [False, True])
def test_whoever_removes_the_folder_is_killed(tmp_path, interrupted):
    process = start(CODEGEN, *SHORT, env=environment(TMPDIR=str(tmp_path)))
    until(lambda: list(tmp_path.iterdir()) and children(process), "a folder and its remover")
    os.kill(min(children(process)), signal.SIGKILL)  # the first child
    if interrupted:
        process.send_signal(signal.SIGINT)
    assert finish(process).returncode == (-signal.SIGINT if interrupted else 0)
    assert not list(tmp_path.iterdir())


@needs_compiler
def test_killed_while_compiling(tmp_path):
    process = start(CODEGEN, "--levels", "4", env=environment(TMPDIR=str(tmp_path)))
    until(lambda: list(tmp_path.glob("*/*.s")), "assembly")
    process.kill()
    finish(process)
    until(lambda: not list(tmp_path.iterdir()), "empty folder")


@needs_compiler
def test_other_compiler(tmp_path):
    path = shutil.which(COMPILERS[0])
    rows = rows_of("--compiler", path, folder=tmp_path)[1]
    assert "other" in {sample["compiler"] for sample in kind(rows, "sample")}


def test_no_such_compiler():
    ended = run(CODEGEN, *SHORT, "--compiler", "/no/such/compiler")
    assert ended.returncode == 2 and "/no/such/compiler" in ended.stderr.splitlines()[-1]


def test_no_compiler(tmp_path):
    ended, rows = rows_of(folder=tmp_path, path="/nowhere")
    assert ended.returncode == 77
    assert [row["verdict"] for row in kind(rows, "verdict")] == ["skipped"]


def test_compiler_that_fails(tmp_path):
    (tmp_path / "bin").mkdir()
    fails = tmp_path / "bin" / "gcc"
    fails.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    fails.chmod(stat.S_IRWXU)
    (tmp_path / "tmp").mkdir()
    ended, rows = rows_of(folder=tmp_path / "tmp", path=str(tmp_path / "bin"))
    assert not kind(rows, "sample")
    assert [row["verdict"] for row in kind(rows, "verdict")] == ["skipped"]
    assert ended.returncode == 77
