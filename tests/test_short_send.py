# SPDX-License-Identifier: MIT
"""What is special to tcp/short_send: the loop loses nothing, interrupted calls end well."""
import subprocess
import sys

from program import BUILD, ROOT, environment, kind, parse, run

SHORT_SEND = BUILD / "tcp" / "short_send"
SCRIPT = ROOT / "experiments" / "tcp" / "eintr.py"
SENDS = {"nonblock", "block", "sndtimeo", "signal", "signal-restart"}
CALLS = {"recv", "recv-restart", "recv-timeout", "accept", "accept-restart", "connect",
         "connect-restart"}


def rows_of(*arguments, **how):
    ended = run(SHORT_SEND, "--quick", "-o", "-", *arguments, **how)
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


def test_the_script():
    done = subprocess.run([sys.executable, str(SCRIPT)], stdout=subprocess.PIPE, check=True,
                          timeout=60)
    assert done.stdout == b"resumed resumed\n"  # pytest itself needs a Python later than 3.5


def test_books():
    rows = rows_of("--trials", "3", "--python", sys.executable)
    samples = kind(rows, "sample")
    assert {s["variant"] for s in samples} == SENDS | CALLS | {"python"}
    for sample in samples:
        if sample["variant"] in SENDS:
            assert (sample["missing_bytes"], sample["misplaced_bytes"]) == (0, 0)
            assert sample["result"] <= sample["given_bytes"] == 1 << 20
            assert sample["calls"] > sample["short_calls"] + sample["interrupted_calls"] - 1
            if sample["variant"] == "nonblock":
                assert 0 < sample["result"] < sample["given_bytes"]
        elif sample["variant"] in CALLS:
            assert sample["completed"] == 1 and sample["handled"] > 0
            assert sample["resumed"] + sample["eintr"] == 1
        else:
            assert (sample["recv"], sample["connect"]) == ("resumed", "resumed")
            assert sample["version"] == sys.version_info[0] * 100 + sys.version_info[1]


def test_without_python(tmp_path):
    rows = rows_of(env=environment(PATH=str(tmp_path), HOME=str(tmp_path)))
    assert {s["variant"] for s in kind(rows, "sample")} == SENDS | CALLS
    verdict, = [v for v in kind(rows, "verdict") if v["claim"] == "tcp-eintr"]
    assert "no CPython was found" in verdict["sentence"]
    assert verdict["numbers"]["python_since_35"] == 0


def test_only_sends():
    rows = rows_of("--variants", "nonblock,block")
    verdicts = {v["claim"]: v["verdict"] for v in kind(rows, "verdict")}
    assert verdicts == {"tcp-send-short": "holds", "tcp-eintr": "skipped"}
