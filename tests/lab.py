# SPDX-License-Identifier: MIT
"""Hosts on this machine for a test, by scripts/lab."""
import contextlib
import itertools
import subprocess

import pytest
from program import ROOT, environment, finish, start

SCRIPT = ROOT / "scripts" / "lab"


class Lab:
    """Hosts that are there until the lab is closed."""

    def __init__(self, told):
        self._addresses = dict(pair.split("=") for pair in told["LAB_ADDRESSES"].split())
        self.pid = int(told["LAB_PID"])
        self.hosts = list(self._addresses)
        self.ssh_config = told.get("LAB_SSH_CONFIG")  # for ssh -F on a host; None without --ssh

    def address(self, name):
        return self._addresses[name]

    def run(self, name, argv, **options):
        """program.start() of a command on that host: the process is the command itself."""
        return self._start("run", name, *argv, **options)

    def off(self, name):
        """What that host sends or gets vanishes from now on; its peers are not told."""
        self._must("off", name)

    def on(self, name):
        self._must("on", name)

    def _start(self, *arguments, **options):
        env = {**options.pop("env", environment()), "LAB_PID": str(self.pid)}
        return start(SCRIPT, *arguments, env=env, **options)

    def _must(self, *arguments):
        ended = finish(self._start(*arguments))
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@contextlib.contextmanager
def opened(*options):
    """A Lab made with these options; the test is skipped where the machine allows none."""
    process = start(SCRIPT, *options, "--", "sh", "-c", "env | grep ^LAB; echo; exec cat", stdin=subprocess.PIPE)
    told = dict(line.rstrip("\n").split("=", 1) for line in itertools.takewhile(str.strip, process.stdout))
    try:
        if told:
            yield Lab(told)
    finally:
        ended = finish(process)  # which closes its input
    if ended.returncode == 77:
        pytest.skip(ended.stderr.strip())
    assert (ended.returncode, ended.stderr) == (0, "")
