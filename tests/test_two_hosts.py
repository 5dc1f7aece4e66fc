# SPDX-License-Identifier: MIT
"""The experiments whose other half may be on another host, over a link of 20 Mbit/s and a round trip of 20 ms.

make test-lab runs all of them; make test the first one.
"""
import os
import re
import signal

import lab
import pytest
from program import finish, kind, left_behind, parse, until
from test_peer import HALVES

ALL = os.environ.get("TWO_HOSTS") == "1"
SOME = HALVES if ALL else [half for half in HALVES if half.name == "stall"]
LESS = {"cliff": ["--trials", "2"], "setup": ["--requests", "10"]}  # as a link is slow, and a round trip takes its time
names = {"ids": lambda path: f"{path.parent.name}/{path.name}"}


@pytest.fixture(scope="module")
def hosts():
    with lab.opened("--rate", "20mbit", "--delay", "10ms") as opened:
        yield opened


class Served:
    """The other half on h2."""

    def __init__(self, hosts, half):
        self.process = hosts.run("h2", [half, f"--serve={hosts.address('h2')}:0"])
        line = self.process.stdout.readline()
        self.address = re.fullmatch(rf"{half.name}: serving on (\S+)\n", line)[1]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert finish(self.process).returncode == -signal.SIGTERM
        assert not left_behind(self.process)


@pytest.fixture
def served(hosts, request):
    far = Served(hosts, request.param)
    yield request.param, far
    far.end()


@pytest.mark.parametrize("served", SOME, indirect=True, **names)
def test_over_a_link(hosts, served, tmp_path):
    half, far = served
    rows = tmp_path / "rows.jsonl"
    ended = finish(hosts.run("h1", [half, "--quick", *LESS.get(half.name, []), "-o", rows, "--peer", far.address]))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = parse(rows.read_text())
    assert kind(rows, "sample") and rows[-1]["controls_held"] is True and rows[0]["peer"]
    if ALL:
        print(ended.stdout)  # for a reader: make test-lab shows it


@pytest.mark.parametrize("served", SOME, indirect=True, **names)
def test_a_host_that_disappears(hosts, served, tmp_path):
    """In the middle of a run, without a word: status 2 and a line, and the other half is free for the next run."""
    half, far = served
    rows = tmp_path / "rows.jsonl"
    near = hosts.run("h1", [half, "--trials", "100000", "-o", rows, "--peer", far.address])
    try:
        assert "to the peer" in near.stdout.readline() + near.stdout.readline()
        until(lambda: (tmp_path / "rows.jsonl.part").exists(), "rows")
        hosts.off("h2")
        ended = finish(near)
        assert ended.returncode == 2, ended
        assert re.fullmatch(f"{half.name}: the peer {far.address} went away(: [A-Z][a-z ]+)?\n", ended.stderr), ended
        assert not (tmp_path / "rows.jsonl.part").exists() and not left_behind(near)
    finally:
        hosts.on("h2")

    def served_again():  # the far half takes 10 s to notice, as the near one does
        again = finish(hosts.run("h1", [half, "--quick", "--trials", "1", *LESS.get(half.name, []), "-q", "--peer",
                                        far.address]))
        assert again.returncode == 0 or "it serves another run just now" in again.stderr, again
        return again.returncode == 0
    until(served_again, "next run")
