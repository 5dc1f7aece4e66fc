# SPDX-License-Identifier: MIT
"""scripts/soak and soak-servers, shortly: whatever is done to programs, servers and scripts, nothing is left."""
import os

import pytest
from program import BUILD, ROOT, run

SOAK = ROOT / "scripts" / "soak"


@pytest.mark.parametrize("arguments, word", [
    (["no/such/folder"], "no/such/folder"),
    (["--seconds", "0", "build"], "--seconds"),
    (["--only", "rain", "build"], "rain"),
])
def test_wrong_usage(arguments, word):
    ended = run(SOAK, *[str(BUILD) if argument == "build" else argument for argument in arguments])
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert word in ended.stderr


def test_servers_used_badly():
    """Three rounds: too few to tell a growth, enough to keep a descriptor, or to end."""
    ended = run(ROOT / "scripts" / "soak-servers", "--seconds", "1", "--servers", "epoll", BUILD)
    assert ended.stderr == ""
    rows = [line.split() for line in ended.stdout.splitlines()[2:]]
    assert [(row[0], row[1], row[4]) for row in rows] == [("epoll", "3", "0")]


def test_servers_of_no_name():
    ended = run(ROOT / "scripts" / "soak-servers", "--servers", "nginx", BUILD)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1) and "epoll" in ended.stderr


@pytest.mark.parametrize("fault", ["SIGINT", "SIGTERM", "SIGKILL", "stopped", "child", "EMFILE", "ENOMEM",
                                   "EAGAIN", "two", "full disk", "read-only disk"])
def test_faults(fault):
    if fault in ("ENOMEM", "EAGAIN") and os.environ.get("SAN"):
        pytest.skip("a sanitizer needs more address space and threads than that")
    if "disk" in fault and os.geteuid():
        pytest.skip("only root can mount a small disk")
    ended = run(SOAK, "--seconds", "1", "--only", fault, BUILD)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
