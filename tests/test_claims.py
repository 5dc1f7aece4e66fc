# SPDX-License-Identifier: MIT
"""scripts/claims, the ledger of what became of every claim, and scripts/demo, which shows it shortly."""
import json
import os
import re
import signal

import pytest
import results
from program import ROOT, copy_scripts, environment, finish, left_behind, run, start, until

CLAIMS = ROOT / "scripts/claims"
REFERENCE = sorted((ROOT / "results/reference").glob("*.jsonl"))
FEW = [path for path in REFERENCE if path.stem in ("counter", "nagle", "listen", "switch")]
SENTENCE = "0 of 6 queues did so: for listen(5) 6 connected, over IPv6 6, and 1,400, 5 more; the rest (a, b) waited"


@pytest.mark.parametrize("width, shortly", [
    (200, SENTENCE), (90, SENTENCE[:SENTENCE.index("; ")]), (50, SENTENCE[:SENTENCE.index(", over")]),
    (30, "0 of 6 queues did so"), (11, "0 of 6 ..."),
    (44, "0 of 6 queues did so: for listen(5) 6 ...")])
def test_a_headline_ends_with_a_clause(width, shortly):
    """At no comma of a number, of a list of numbers or in brackets, and after no less than half of the width."""
    assert results.headline(SENTENCE, width) == shortly


def test_every_verdict_is_listed():
    ended = run(CLAIMS, *REFERENCE)
    verdicts = sum('"row":"verdict"' in line for path in REFERENCE
                   for line in path.read_text(encoding="utf-8").splitlines())
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[-1].startswith(f"{verdicts} verdicts: ")
    assert not [line for line in ended.stdout.splitlines() if len(line) > 80]


def test_filters_and_json():
    ended = run(CLAIMS, "--json", "--group", "race", "--verdict", "refuted", *FEW)
    found = json.loads(ended.stdout)
    assert found and all(one["verdict"] == "refuted" and one["program"].startswith("race/") for one in found)
    assert all(one["sentence"] and one["numbers"] and one["says"] for one in found)
    ended = run(CLAIMS, "--group", "no-such", *FEW)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", "claims: no such verdict\n")


@pytest.mark.parametrize("change, status, said", [
    ((), 0, r"(\d+) of \1 as expected\n"),
    (("tcp-nagle .*", "tcp-nagle refuted|holds  # either"), 0, r"(\d+) of \1 as expected\n"),
    (("tcp-nagle .*", "tcp-nagle refuted"), 1, r"tcp-nagle: holds, expected refuted \(tcp/nagle\)\n.* as expected\n"),
    (("tcp-nagle .*", "no-claim holds"), 1, r"no-claim: not measured, expected holds\n.* as expected\n"),
    (("tcp-nagle .*", "tcp-nagle holds race/counter"), 1, r"tcp-nagle: not measured.*\n.* as expected\n"),
    (("tcp-nagle .*", "tcp-nagle perhaps"), 2, ""),
    (("tcp-nagle .*", "tcp-nagle"), 2, ""),
])
def test_expected_verdicts(change, status, said, tmp_path):
    """What --brief prints is expected again."""
    text = run(CLAIMS, "--brief", *FEW).stdout
    (tmp_path / "expected").write_text(re.sub(*change, text) if change else text, encoding="utf-8")
    ended = run(CLAIMS, "--expect", tmp_path / "expected", *FEW)
    assert ended.returncode == status and re.fullmatch(said, ended.stdout)
    assert ended.stderr.count("\n") == (1 if status == 2 else 0)


@pytest.mark.parametrize("arguments", [["--expect", "no/such"], ["--verdict", "true"], ["--nonsense"],
                                       ["no/such.jsonl"]])
def test_wrong_usage(arguments):
    ended = run(CLAIMS, *arguments)
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith("claims: ")


# --- scripts/demo ---------------------------------------------------------------------------------

class Groups:
    """A copy of the scripts, and fake programs that leave rows."""

    def __init__(self, folder):
        self.folder = folder
        copy_scripts(folder)
        self.script("scripts/report.py", 'echo "report: results/report.html"')

    def script(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
        path.chmod(0o755)

    def add(self, group, name, verdicts, then="exit 0"):
        source = self.folder / "experiments" / group / f"{name}.c"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.touch()
        claims = {f"{name}-{at}": f"{name} is taught" for at in range(len(verdicts))}
        rows = [{"row": "run", "schema": 2, "experiment": name, "group": group, "claims": claims},
                *({"row": "verdict", "claim": claim, "verdict": verdict, "sentence": SENTENCE}
                  for claim, verdict in zip(claims, verdicts)),
                {"row": "end", "samples": 0}]
        (self.folder / f"{name}.rows").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
        self.script(f"build/{group}/{name}", f'cp {name}.rows "$2"\necho "  rows: $2"\n{then}\n')

    def start(self, *arguments, **changes):
        return start(self.folder / "scripts/demo", *arguments, cwd=self.folder, env=environment(**changes))


@pytest.fixture
def groups(tmp_path):
    return Groups(tmp_path)


def test_demo_is_short(groups):
    for at in range(20):
        groups.add("race", f"experiment-{at}", ["holds", "refuted"])
    groups.add("tcp", "last", ["not-seen"], "[ \"$3\" = --quick ]; exit")
    ended = finish(groups.start("build/race", "build/tcp", "--", "--quick"))
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert not [line for line in lines if len(line) > 80]
    assert lines[0].startswith("race      experiment-0 \u2713\u2717  ") and re.search(r"40 verdicts in \d+ s$", ended.stdout, re.M)
    assert "tcp       last \u25cb" in ended.stdout
    assert "41 verdicts on this machine: 20 holds (\u2713), 20 refuted (\u2717), 1 not seen (\u25cb)." in ended.stdout
    assert len([line for line in lines if " is taught  " in line]) == 20
    assert len(list((groups.folder / "results/race").glob("*.txt"))) == 20


def test_a_group_ends_with_its_verdicts(groups):
    groups.add("tcp", "one", ["holds", "not-seen"])
    groups.add("tcp", "two", ["refuted"])
    ended = run(groups.folder / "scripts/run", groups.folder / "build/tcp", cwd=groups.folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line.split() for line in ended.stdout.splitlines()[-3:]] == [
        ["one-0", "holds", "tcp/one"], ["one-1", "not-seen", "tcp/one"], ["two-0", "refuted", "tcp/two"]]


def test_demo_in_ascii(groups):
    groups.add("tcp", "one", ["holds", "not-seen"])
    ended = finish(groups.start("build/tcp", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"))
    assert ended.returncode == 0 and ended.stdout.isascii()
    assert "one  holds not seen" in ended.stdout


def test_demo_names_what_failed_last(groups):
    groups.add("tcp", "one", ["holds"], "exit 1")
    groups.add("tcp", "two", ["holds"])
    ended = finish(groups.start("build/tcp"))
    assert ended.returncode == 1
    assert ended.stderr == "tcp: FAILED: one (a control failed)\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_is_interrupted(groups, number):
    groups.add("tcp", "one", ["holds"], ">here; exec sleep 1000")  # a shell would go on if `touch` ended well
    process = groups.start("build/tcp")
    until((groups.folder / "here").exists, "program")
    os.kill(process.pid, number)
    ended = finish(process)
    assert ended.returncode == -number
    assert not left_behind(process)


def test_a_run_is_interrupted_though_its_program_ends_well(groups):
    """The signal came when the program had done its work: the next one does not begin."""
    groups.add("tcp", "one", ["holds"], "trap : INT; >here; while [ ! -e told ]; do sleep 0.01; done; exit 0")
    groups.add("tcp", "two", ["holds"], ">next")
    process = start(groups.folder / "scripts/run", groups.folder / "build/tcp", cwd=groups.folder)
    until((groups.folder / "here").exists, "program")
    os.killpg(process.pid, signal.SIGINT)
    (groups.folder / "told").touch()
    assert finish(process).returncode == -signal.SIGINT
    assert not (groups.folder / "next").exists() and not left_behind(process)


@pytest.mark.parametrize("arguments", [[], ["no/such"], ["--nonsense"]])
def test_demo_wrong_usage(groups, arguments):
    ended = finish(groups.start(*arguments))
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
