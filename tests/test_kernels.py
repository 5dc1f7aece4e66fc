# SPDX-License-Identifier: MIT
"""A guest with another kernel, whose clock jumps: its rows come back, and are not this machine's."""
import os
import re
import shutil
import subprocess
import sys

import pytest
from program import BUILD, ROOT, environment, parse, run

KERNEL = "6.1"
LIMIT_S = 900  # emulated, and perhaps beside other tests
CACHED = os.path.expanduser(f"~/.cache/stallrace/kernels/{KERNEL}")


def kernels(*arguments, **options):
    return run(ROOT / "scripts/kernels", *arguments, **options)


@pytest.mark.parametrize("arguments, words", [
    (["no/such/folder"], ["no/such/folder"]),
    (["--kernels", "2.4", "build"], ["2.4", "6.1-rt"]),
    (["--cpus", "0", "build"], ["--cpus"]),
    (["--cpus", "many", "build"], ["--cpus"]),
])
def test_wrong_usage(arguments, words):
    ended = kernels(*[str(BUILD) if word == "build" else word for word in arguments])
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert all(word in ended.stderr for word in words)


def test_without_qemu(tmp_path):
    ended = run(sys.executable, ROOT / "scripts/kernels", BUILD, env=environment(PATH=str(tmp_path)))
    assert ended.returncode == 77 and "qemu-system-x86_64" in ended.stderr


@pytest.mark.skipif(bool(os.environ.get("SAN")), reason="too slow in an emulated machine")
def test_a_guest(tmp_path):
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("QEMU is missing (scripts/bootstrap --kernels)")
    if not os.path.exists(CACHED):
        pytest.skip("no kernel was fetched (make kernels fetches it)")
    ended = subprocess.run([ROOT / "scripts/kernels", "--kernels", KERNEL, "--cpus", "2", "--groups", "tcp",
                            "--jump", "3600", "--out", tmp_path, BUILD],
                           capture_output=True, text=True, timeout=LIMIT_S)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    folder = tmp_path / f"{KERNEL}-2cpu"
    found = {path.name.split("-")[0]: parse(path.read_text(encoding="utf-8"))
             for path in (folder / "tcp").glob("*.jsonl")}
    assert {"handshake", "nagle", "backlog"} <= set(found)
    for rows in found.values():
        assert rows[-1]["row"] == "end" and rows[-1]["controls_held"] in (True, None)
        assert rows[0]["kernel"].startswith("6.1.")
    hours = {rows[0]["utc"][:13] for rows in found.values()}  # its clock jumps by one
    assert len(hours) > 1
    assert re.search(r"verdicts are the same in all of them", ended.stdout)
