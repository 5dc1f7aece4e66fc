# SPDX-License-Identifier: MIT
"""scripts/matrix: each line is a cell that a shell can run, and GNU parallel runs all on two hosts, none twice."""
import collections
import contextlib
import csv
import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest
from hosts import hosts, needs_hosts
from program import BUILD, ROOT, TIMEOUT, environment, kind, parse, run, until

MATRIX = ROOT / "scripts" / "matrix"
COUNTER = BUILD / "race" / "counter"
RECIPE = (ROOT / "docs" / "matrix.md").read_text(encoding="utf-8")


def listed(*arguments):
    """{name: command} of the cells."""
    ended = run(MATRIX, *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [line.split("\t") for line in ended.stdout.splitlines()]
    cells = dict(lines)
    assert len(cells) == len(lines)
    return cells


def shell(command, **how):
    return subprocess.run(["sh", "-c", command], cwd=ROOT, text=True, capture_output=True, timeout=TIMEOUT,
                          env=environment(), check=False, **how)


def test_a_cell_measures_what_its_name_says():
    cells = listed(COUNTER, "--set", "threads=2,3", "--set", "iterations=1000,1K", "--seeds", "2",
                   "--", "--quick", "--trials", "1")
    assert len(cells) == 8
    name, command = list(cells.items())[-1]
    assert name == "counter-threads=3-iterations=1K-seed=2"
    ended = shell(command)
    assert ended.returncode == 0
    rows = parse(ended.stdout)
    params = rows[0]["params"]
    assert (params["threads"], params["iterations"], params["seed"], params["trials"]) == (3, 1000, 2, 1)
    assert rows[-1]["row"] == "end" and len(kind(rows, "verdict")) == len(rows[0]["claims"])


def test_without_settings_a_program_is_one_cell():
    cells = listed(COUNTER, BUILD / "race" / "unit")
    assert list(cells) == ["counter", "unit"]


@pytest.mark.parametrize("status, kept", [(0, True), (1, True), (77, True), (2, False), (137, False)])
def test_what_is_kept(status, kept, tmp_path):
    """Rows of a control that failed and of a run that was skipped are results; of one that was killed are none."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ncase $* in *--describe*) exit 0;; esac\nexit {status}\n")
    program.chmod(0o755)
    command, = listed(program).values()
    assert (shell(command).returncode == 0) == kept


@pytest.mark.parametrize("arguments, word", [
    ((), "PROGRAM"), ((COUNTER, "--set", "threads"), "threads"), ((COUNTER, "--set", "threads="), "threads"),
    ((COUNTER, "--set", "threads=2,,4"), "threads"), ((COUNTER, "--set", "no-such=1"), "no-such"),
    ((COUNTER, "--set", "threads=2,99999"), "99999"), ((COUNTER, "--set", "threads=2,2"), "two cells"),
    ((COUNTER, "--seeds", "0"), "--seeds"), ((COUNTER, "--", "--bad"), "bad"), ((BUILD / "none",), "none"),
    ((BUILD,), "build"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_bad_cells_are_refused(arguments, word):
    ended = run(MATRIX, *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert word in ended.stderr


# --- GNU parallel, over ssh -----------------------------------------------------------------------

def logged(folder):
    """How often each cell was logged as done."""
    path = folder / "cells.log"
    if not path.exists():
        return collections.Counter()
    with open(path, encoding="utf-8") as file:
        return collections.Counter(int(row["Seq"]) for row in csv.DictReader(file, delimiter="\t")
                                   if row["Exitval"] == "0")


def whole(path):
    rows = parse(path.read_text(encoding="utf-8"))
    return rows[0]["row"] == "run" and rows[-1]["row"] == "end" and not rows[-1]["interrupted"]


def goes_on_writing(folder):
    """Processes with a file of the folder open that were not killed: cells that are run again have the same files."""
    found = set()
    for path in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if path.readlink().is_relative_to(folder):
                status = dict(line.split(":\t", 1) for line in (path.parents[1] / "status").read_text().splitlines())
                pending = int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)
                if not pending & 1 << signal.SIGKILL - 1:
                    found.add(status["Name"])
    return found


@needs_hosts
def test_a_matrix_over_two_hosts(tmp_path):
    """It is killed in the middle and goes on: 40 cells, each done once, and their rows are here."""
    cells = listed(COUNTER, "--set", "threads=2,3", "--seeds", "20", "--", "--quick", "--trials", "1")
    (tmp_path / "cells").write_text("".join(f"{name}\t{command}\n" for name, command in cells.items()))
    recipe = next(line.strip() for line in RECIPE.splitlines() if line.startswith("    parallel "))
    with hosts(tmp_path):
        command = recipe.replace(" ssh'", f" ssh -F {tmp_path}/ssh'").replace(
            "--workdir stallrace", f"--workdir {ROOT}").replace("results/matrix", f"{tmp_path}/matrix")
        how = {"cwd": tmp_path, "env": {**os.environ, "HOME": str(tmp_path)}, "stdout": subprocess.DEVNULL}
        with subprocess.Popen(["sh", "-c", f"exec {command}"], stderr=subprocess.DEVNULL, start_new_session=True,
                              **how) as first:
            until(lambda: len(logged(tmp_path)) >= 10, "measure some")
            os.killpg(first.pid, signal.SIGKILL)
        assert not goes_on_writing(tmp_path / "matrix")
        done = logged(tmp_path)
        assert 10 <= len(done) < 40
        again = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, timeout=600, check=False,
                               **how)
        assert again.returncode == 0, again.stderr
    assert logged(tmp_path) == dict.fromkeys(range(1, 41), 1)
    files = sorted((tmp_path / "matrix").glob("*.jsonl"))
    assert [path.stem for path in files] == sorted(cells)
    assert all(whole(path) for path in files)


# --- Slurm ----------------------------------------------------------------------------------------

SLURM = {name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
         for name in ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "sinfo")}
needs_slurm = pytest.mark.skipif(not all(SLURM.values()) or os.geteuid() != 0,
                                 reason="slurmctld, slurmd or munge is missing, or this is not root")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@contextlib.contextmanager
def slurm(folder):
    """A cluster of one node, this one: the environment of its commands."""
    folder.chmod(0o755)
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(mode=0o755)
    (folder / "munge" / "key").write_bytes(os.urandom(1024))
    (folder / "munge" / "key").chmod(0o600)
    host = socket.gethostname()
    (folder / "slurm.conf").write_text(
        f"ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nSlurmctldPort={free_port()}\n"
        f"AuthType=auth/munge\nAuthInfo=socket={folder}/munge/socket\nStateSaveLocation={folder}/state\n"
        f"SlurmdSpoolDir={folder}/spool\nSlurmctldPidFile={folder}/ctld.pid\nSlurmdPidFile={folder}/slurmd.pid\n"
        "ProctrackType=proctrack/pgid\nTaskPlugin=task/none\nMpiDefault=none\nReturnToService=2\n"
        "SchedulerParameters=sched_interval=1,sched_min_interval=1000,batch_sched_delay=0\n"
        "SlurmdParameters=config_overrides\nAccountingStorageType=accounting_storage/none\n"
        f"NodeName={host} NodeAddr=127.0.0.1 Port={free_port()} CPUs=1 State=UNKNOWN\n"
        f"PartitionName=all Nodes={host} Default=YES State=UP\n")
    env = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    munge = [f"--{what}={folder}/munge/{what}" for what in ("socket", "pid-file", "log-file", "seed-file")]
    with contextlib.ExitStack() as stack, open(folder / "log", "w", encoding="utf-8") as log:
        for command in ([SLURM["munged"], "--foreground", "--force", f"--key-file={folder}/munge/key", *munge],
                        [SLURM["slurmctld"], "-D", "-c"], [SLURM["slurmd"], "-D", "-c"]):
            process = stack.enter_context(subprocess.Popen(command, env=env, stdout=log, stderr=log,
                                                           start_new_session=True))
            stack.callback(process.terminate)
        until(lambda: "idle" in subprocess.run([SLURM["sinfo"], "-h", "-o", "%T"], env=env, text=True, check=False,
                                               capture_output=True).stdout, (folder / "log").read_text())
        yield env


@needs_slurm
def test_a_matrix_as_an_array_of_slurm(tmp_path):
    """It is cancelled in the middle and submitted again: 40 cells, none measured twice."""
    cells = listed(COUNTER, "--set", "threads=2,3", "--seeds", "20", "--", "--quick", "--trials", "1")
    (tmp_path / "cells").write_text("".join(f"{name}\t{command}\n" for name, command in cells.items()))

    def done():
        return {path.stem: path.stat().st_mtime_ns for path in (tmp_path / "matrix").glob("*.jsonl")}

    with slurm(tmp_path) as env:
        submit = [SLURM["sbatch"], "--parsable", "--array=1-40", "--exclusive", "--output=/dev/null",
                  ROOT / "scripts" / "matrix-task", tmp_path / "cells", tmp_path / "matrix"]
        how = {"cwd": ROOT, "env": env, "text": True, "stdout": subprocess.PIPE, "timeout": 600}
        job = subprocess.run(submit, check=True, **how).stdout.strip()
        until(lambda: len(done()) >= 5, "measure some")
        subprocess.run([SLURM["scancel"], job], check=True, **how)
        before = done()
        assert 5 <= len(before) < 40
        again = subprocess.run([submit[0], "--wait", *submit[1:]], check=False, **how)
        assert again.returncode == 0
    assert done().keys() == cells.keys()
    assert before.items() <= done().items()
    assert all(whole(tmp_path / "matrix" / f"{name}.jsonl") for name in cells)
    assert not list((tmp_path / "matrix").glob("*.part"))
