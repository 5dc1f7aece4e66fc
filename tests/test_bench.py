# SPDX-License-Identifier: MIT
"""scripts/bench: with a hyperfine and a program that are quick, and with the real ones.

No test looks at a speed; each runs a copy of the script, whose results folder and lock are its own.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / os.environ.get("BUILD", "build")
VARIANTS = ["split", "volatile", "mutex", "atomic"]
ONLY = ["--only", "counter"]  # the stub of a program is one of it

# Writes down how it was called, sleeps as long as it shall, and says its run row to -o -.
PROGRAM = """#!/bin/sh
echo "$*" >>"$CALLS"
sleep "${SLEEP:-0.06}"
case "$*" in *--output*)
	echo '{"row":"run","schema":2,"experiment":"counter","params":{}}'
esac
case "$*" in *"${FAILS:-none}"*) echo "it failed" >&2; exit 1; esac
"""

HYPERFINE = """#!{python}
import json, shlex, subprocess, sys
if sys.argv[1:] == ["--version"]:
    print("hyperfine 0.0.0")
    sys.exit()
assert "-N" in sys.argv and sys.argv[sys.argv.index("--runs") + 1] == "1"
status = subprocess.run(shlex.split(sys.argv[-1]), stderr=subprocess.DEVNULL).returncode
if status:
    sys.exit("Error: Command terminated with non-zero exit code")
with open(sys.argv[sys.argv.index("--export-json") + 1], "w") as file:
    json.dump({{"results": [{{"times": [0.25], "exit_codes": [0]}}]}}, file)
"""


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def tree(tmp_path):
    """A copy of the script with a built program below it, and a PATH with a hyperfine."""
    (tmp_path / "scripts").mkdir()
    for name in ("bench", "command.py", "intervals.py", "language.py"):
        shutil.copy(str(ROOT / "scripts" / name), str(tmp_path / "scripts"))
    executable(tmp_path / "build" / "race" / "counter", PROGRAM)
    executable(tmp_path / "bin" / "hyperfine", HYPERFINE.format(python=sys.executable))
    (tmp_path / "tmp").mkdir()
    return tmp_path


def environment(tree, **more):
    return {**os.environ, "PATH": f"{tree}/bin:{os.environ['PATH']}", "TMPDIR": f"{tree}/tmp",
            "CALLS": f"{tree}/calls", **more}


def bench(tree, *arguments, env=None, **more):
    return subprocess.run([tree / "scripts" / "bench", *ONLY, *arguments], cwd=str(tree), timeout=120,
                          env=env or environment(tree, **more), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True)


def left(tree):
    """Results and temporary files."""
    return [path for folder in ("results/bench", "tmp") if (tree / folder).exists()
            for path in (tree / folder).iterdir()]


def refused(done, tree, status):
    assert done.returncode == status, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("bench: ")
    assert left(tree) == []


def test_the_timings_are_kept(tree):
    done = bench(tree, "build", "--rounds", "3")
    assert (done.returncode, done.stderr) == (0, "")
    path, = left(tree)
    assert f"results/bench/{path.name}" in done.stdout
    document = json.loads(path.read_text())
    assert document["schema"] == 2 and document["bench"] == "counter"
    assert document["machine"]["row"] == "run"
    assert document["iterations"] >= 100000 and document["rounds"] == 3
    assert [row["variant"] for row in document["results"]] == VARIANTS
    for row in document["results"]:
        assert row["times_s"] == [0.25] * 3
        assert (row["median_s"], row["min_s"], row["max_s"]) == (0.25, 0.25, 0.25)
        assert f"--variants {row['variant']}" in row["command"]
        assert f"--iterations {document['iterations']}" in row["command"]
        assert row["variant"] in done.stdout


def order_of(tree):
    """The variants in the order in which hyperfine ran them."""
    calls = (tree / "calls").read_text().splitlines()
    (tree / "calls").unlink()
    return [call.split()[-1] for call in calls if "--output" not in call]


def test_the_variants_take_turns_in_an_order_of_the_seed(tree):
    orders = []
    for seed in ("1", "1", "2"):
        done = bench(tree, "build", "--rounds", "4", "--iterations", "9", "--seed", seed, SLEEP="0")
        assert done.returncode == 0
        orders.append(order_of(tree))
    assert orders[0] == orders[1] != orders[2]
    assert len(orders[0]) == 5 * len(VARIANTS)  # with the warm-up
    for begin in range(0, len(orders[0]), len(VARIANTS)):
        assert sorted(orders[0][begin:begin + len(VARIANTS)]) == sorted(VARIANTS)


def test_no_hyperfine(tree):
    for name in ("env", "python3", "sh"):
        (tree / "few").mkdir(exist_ok=True)
        target = sys.executable if name == "python3" else shutil.which(name)
        (tree / "few" / name).symlink_to(target)
    done = bench(tree, "build", env=environment(tree, PATH=f"{tree}/few"))
    refused(done, tree, 77)
    assert "hyperfine" in done.stderr and "scripts/bootstrap" in done.stderr


@pytest.mark.parametrize("arguments", [
    [], ["none"], ["build", "more"], ["build", "--rounds", "0"], ["build", "--rounds", "x"],
    ["build", "--iterations", "-1"], ["build", "--nonsense"], ["build", "--only", "nothing"], ["build", "--seed", "1e3"]])
def test_bad_arguments(arguments, tree):
    refused(bench(tree, *arguments), tree, 2)


def test_a_program_that_is_not_built(tree):
    (tree / "build" / "race" / "counter").unlink()
    refused(bench(tree, "build"), tree, 2)


@pytest.mark.parametrize("how", [[], ["--iterations", "5"]])
def test_a_failing_program_fails_the_bench(how, tree):
    done = bench(tree, "build", "--rounds", "2", *how, FAILS="mutex")
    refused(done, tree, 1)
    assert "--variants mutex" in done.stderr


def test_results_that_cannot_be_written(tree):
    (tree / "file").write_text("in the way")
    for out in ("file", "file/below"):
        done = bench(tree, "build", "--rounds", "1", "--iterations", "5", "--out", out, SLEEP="0")
        refused(done, tree, 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing(number, tree):
    running = subprocess.Popen([tree / "scripts" / "bench", "build", "--iterations", "5", *ONLY],
                               cwd=str(tree), env=environment(tree, SLEEP="61.5"),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in range(1000):
        if (tree / "calls").exists() and processes(tree):
            break
        time.sleep(0.01)
    running.send_signal(number)
    running.communicate(timeout=20)
    assert running.returncode == -number
    assert left(tree) == []
    for _ in range(200):
        if not processes(tree):
            break
        time.sleep(0.01)
    assert processes(tree) == []


def processes(tree):
    """The programs of this tree that still run (they sleep), told by their environment."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if f"CALLS={tree}/calls".encode() in (folder / "environ").read_bytes():
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if b"sleep" in words[0]:
                    found.append(int(folder.name))
        except OSError:
            pass  # it has ended, or is another user's
    return found


@pytest.mark.skipif(not shutil.which("hyperfine"), reason="no hyperfine here")
@pytest.mark.skipif(not (BUILD / "race" / "counter").exists(), reason="nothing is built")
@pytest.mark.parametrize("name, fewest", [("counter", 4), ("interleavings", 2), ("python", 1), ("echo", 12)])
def test_the_real_ones(tree, name, fewest):
    (tree / "experiments").symlink_to(ROOT / "experiments")
    done = subprocess.run([tree / "scripts" / "bench", BUILD, "--only", name, "--rounds", "2",
                           "--iterations", "1000" if name in ("counter", "python") else "10"], cwd=str(tree), timeout=120,
                          env={**os.environ, "TMPDIR": f"{tree}/tmp"}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    path, = left(tree)
    document = json.loads(path.read_text())
    assert document["bench"] == name and len(document["results"]) >= fewest
    assert document["hyperfine"].startswith("hyperfine 1.")
    assert document["machine"]["cpus_online"] >= 1
    assert all(0 < row["min_s"] <= row["median_s"] <= row["max_s"] < 60
               for row in document["results"])
