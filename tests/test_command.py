# SPDX-License-Identifier: MIT
"""scripts/command.py: what a signal ends, and what it leaves whole."""
import pathlib
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
WATCHED = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

# Says each step; "raise" sends the signal there, to itself.
SCRIPT = """
import contextlib, signal, sys
sys.path.insert(0, {scripts!r})
from command import end_with, signals

def say(text):
    print(text, flush=True)
    if text in sys.argv[2:]:
        signal.raise_signal(int(sys.argv[1]))

def main():
    try:
        say("before")
        with signals.hold():
            say("first half")
            with signals.hold():
                say("inner")
            say("second half")
        say("after")
    finally:
        say("mending")
        with signals.hold():
            say("mended")
    return 0

end_with(main)
"""
STEPS = ["before", "first half", "inner", "second half", "after"]
MENDED = ["mending", "mended"]


def steps(number, *raised):
    ended = subprocess.run([sys.executable, "-c", SCRIPT.format(scripts=str(ROOT / "scripts")),
                            str(int(number)), *raised], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, universal_newlines=True, timeout=60)
    assert ended.stderr == ""
    return ended.returncode, ended.stdout.splitlines()


def test_no_signal():
    assert steps(signal.SIGINT) == (0, STEPS + MENDED)


@pytest.mark.parametrize("number", WATCHED)
@pytest.mark.parametrize("raised, last", [
    ("before", "before"), ("first half", "second half"), ("inner", "second half"),
    ("second half", "second half"), ("after", "after")])
def test_a_signal_waits_for_the_end_of_what_is_whole(number, raised, last):
    assert steps(number, raised) == (-number, STEPS[:STEPS.index(last) + 1] + MENDED)


@pytest.mark.parametrize("raised", [["before", "mending"], ["inner", "second half", "mended"],
                                    ["after", "mending", "mended"]])
def test_later_signals_disturb_no_mending(raised):
    status, said = steps(signal.SIGTERM, *raised)
    assert status == -signal.SIGTERM and said[-2:] == MENDED
