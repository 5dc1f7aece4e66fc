# SPDX-License-Identifier: MIT
"""What the programs declare, and what becomes of a claim or control under its sham.

A sham takes the phenomenon away, so it must come out otherwise.  For scripts/shams, which shows
them all, scripts/fields, and tests/test_contract.py, which demands them.
"""
import json
import os
import subprocess

from rows import NO_ORDER

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TELLS_NOTHING = ("unclear", "undecided", "control held")  # of a race in few trials, or a disturbed one: a longer run may
ATTEMPTS = {"claim": (), "control": (("--trials", "1"),)}  # what must be 0 mostly is not at the first look
LONGER = ("--budget", "15s")


def describe(program):
    """What a program declares (--describe)."""
    return json.loads(subprocess.run([program, "--describe"], check=True, text=True,
                                     stdout=subprocess.PIPE).stdout)


def built(build):
    """The experiments that are built; tools, which are folders, are none."""
    groups = os.path.join(ROOT, "experiments")
    sources = [(group, name[:-2]) for group in os.listdir(groups) if group != "lib"
               for name in os.listdir(os.path.join(groups, group)) if name.endswith(".c")]
    paths = [os.path.join(build, *source) for source in sources]
    return sorted(path for path in paths if os.access(path, os.X_OK))


def programs(build):
    """{path: what it declares} of the experiments that are built, in the order they declare."""
    found = {path: describe(path) for path in built(build)}
    return dict(sorted(found.items(), key=lambda item: (item[1]["order"] or NO_ORDER, item[0])))


def parse(text):
    return [json.loads(line) for line in text.splitlines()]


def verdicts_of(rows):
    """{claim: word} of a program's rows."""
    return {row["claim"]: row["verdict"] for row in rows if row["row"] == "verdict"}


def outcome(ended, name, of):
    """A verdict's word, or what became of a control.

    An unclear one of a run that nothing disturbed, and that took its last look, is undecided: neither a
    calmer nor a faster machine would help.  A control that is judged, not a field that must be 0, holds
    where it is unclear.
    """
    if ended.returncode not in (0, 1):
        return "skipped" if ended.returncode == 77 else f"status {ended.returncode}"
    rows = parse(ended.stdout)
    cannot_tell = rows[-1]["disturbed_trials"] > 0 or rows[-1]["looks_left"] > 0
    if of == "control":
        judged = all(field["name"] != name for field in rows[0]["fields"])
        held = "unclear" if judged and cannot_tell else "control held"
        return held if ended.returncode == 0 else "control failed"
    came = verdicts_of(rows)[name]
    return "undecided" if came == "unclear" and not cannot_tell else came


def run(program, name, of, timeout, *arguments, longer=True, **options):
    """What came of the sham of this claim or control; tried again while it cannot tell."""
    came = ""
    for more in (*ATTEMPTS[of], (), *([LONGER] if longer else [])):
        try:
            ended = subprocess.run([program, "--quick", "--sham", name, "-o", "-", *arguments, *more], text=True,
                                   timeout=timeout, capture_output=True, stdin=subprocess.DEVNULL,
                                   **options)
        except subprocess.TimeoutExpired:
            return "hung"
        came = outcome(ended, name, of)
        if came not in TELLS_NOTHING:
            break
    return came


def plain(program, timeout):
    """{claim: word} of a quick run as it is."""
    ended = subprocess.run([program, "--quick", "-o", "-"], text=True, timeout=timeout,
                           capture_output=True, stdin=subprocess.DEVNULL)
    return verdicts_of(parse(ended.stdout))
