# SPDX-License-Identifier: MIT
"""What is special to race/detectors: which tools report what is the same each time, whoever is here."""
import shutil
import signal

import pytest
from program import BUILD, environment, finish, kind, parse, run, session, start, until, verdicts

DETECTORS = BUILD / "race" / "detectors"
TOOLS = {"tsan-gcc": "gcc", "tsan-clang": "clang", "helgrind": "valgrind", "drd": "valgrind"}
RACES = {"tsan-gcc": {"plain", "volatile"}, "tsan-clang": {"plain", "volatile"}}
COMPILER = next(filter(shutil.which, ("gcc", "clang", "cc")), None)

needs_compiler = pytest.mark.skipif(not COMPILER, reason="there is no compiler here")


def rows_of(*arguments, folder, path=None):
    env = environment(TMPDIR=str(folder), **({"PATH": path} if path else {}))
    ended = run(DETECTORS, "--quick", "--trials", "1", "-o", "-", *arguments, env=env)
    assert not list(folder.iterdir())  # nothing stays behind
    return ended, parse(ended.stdout)


@needs_compiler
def test_who_reports_what(tmp_path):
    ended, rows = rows_of(folder=tmp_path)
    if ended.returncode == 77:
        pytest.skip("no tool works here")
    assert ended.returncode == 0, ended.stderr
    samples = kind(rows, "sample")
    for sample in samples:
        assert sample["right"] == (sample["final_x"] == 0)
        assert abs(sample["final_x"]) <= sample["iterations"]
        if sample["kind"] in ("joined", "mutex", "atomic"):
            assert sample["right"] == 1
        if sample["variant"] != "no-tool" and sample["kind"] != "atomic":
            races = RACES.get(sample["variant"], {"plain", "volatile", "relaxed"})
            assert sample["reported"] == (sample["kind"] in races)
    of = {sample["variant"] for sample in samples}
    assert of <= {"no-tool"} | {name for name, tool in TOOLS.items() if shutil.which(tool)}
    right = [s for s in samples if s["kind"] == "plain" and s["right"] and s["variant"] not in ("drd", "no-tool")]
    assert verdicts(rows)["race-detectors"] == (
        "holds" if len(right) > 1 else "skipped" if rows[0]["params"].get("left_out") else "unclear")


@needs_compiler
def test_without_valgrind(tmp_path):
    """What is there is judged."""
    folder, tmp = tmp_path / "bin", tmp_path / "tmp"
    folder.mkdir()
    tmp.mkdir()
    for name in ("gcc", "clang", "as", "ld"):
        if shutil.which(name):
            (folder / name).symlink_to(shutil.which(name))
    ended, rows = rows_of(folder=tmp, path=str(folder))
    assert ended.returncode in (0, 77), ended.stderr
    assert not {s["variant"] for s in kind(rows, "sample")} & {"helgrind", "drd"}


def test_no_tool_at_all(tmp_path):
    ended, rows = rows_of(folder=tmp_path, path="/nowhere")
    assert ended.returncode == 77
    assert verdicts(rows) == {"race-detectors": "skipped"}


@needs_compiler
def test_interrupted_in_a_tool(tmp_path):
    process = start(DETECTORS, "--quick", env=environment(TMPDIR=str(tmp_path)))
    until(lambda: process.poll() is not None or list(tmp_path.glob("*/log")), "run of a tool")
    process.send_signal(signal.SIGINT)
    assert finish(process).returncode == -signal.SIGINT
    until(lambda: not list(tmp_path.iterdir()), "empty folder")
    assert [pid for pid, fields in session(process.pid).items() if fields[0] != "Z"] == []
