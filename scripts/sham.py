# SPDX-License-Identifier: MIT
"""Runs a program with one of its shams: the phenomenon is taken away, so it must come out otherwise.

For scripts/shams, which shows them all, and tests/test_contract.py, which demands them.
"""
import json
import subprocess

TRIES = 3  # a disturbed run cannot tell; a longer one may


def describe(program):
    """What a program declares (--describe)."""
    return json.loads(subprocess.run([program, "--describe"], check=True, text=True,
                                     stdout=subprocess.PIPE).stdout)


def verdicts_of(text):
    """{claim: word} of a program's rows."""
    rows = map(json.loads, text.splitlines())
    return {row["claim"]: row["verdict"] for row in rows if row["row"] == "verdict"}


def outcome(status, verdicts, name, of):
    """A verdict's word, or what became of a control."""
    if of == "control":
        return {0: "control held", 1: "control failed"}.get(status, f"status {status}")
    return verdicts.get(name, f"status {status}")


def run(program, name, of, timeout, *arguments, **options):
    """What came of the sham of this claim or control; tried again while it cannot tell."""
    for attempt in range(TRIES):
        ended = subprocess.run([program, "--quick", "--sham", name, "-o", "-", *arguments,
                                *(("--budget", "15s") if attempt else ())], text=True,
                               timeout=timeout, capture_output=True, stdin=subprocess.DEVNULL,
                               **options)
        came = outcome(ended.returncode, verdicts_of(ended.stdout), name, of)
        if came != "unclear":
            break
    return came


def plain(program, timeout):
    """{claim: word} of a quick run as it is."""
    ended = subprocess.run([program, "--quick", "-o", "-"], text=True, timeout=timeout,
                           capture_output=True, stdin=subprocess.DEVNULL)
    return verdicts_of(ended.stdout)
