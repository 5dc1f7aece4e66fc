# SPDX-License-Identifier: MIT
"""Which files are results, and what all of them found: the verdicts on every claim."""
import collections
import glob
import os
import re
import time
import typing

import rows
from command import RESULTS, ROOT, Failed, again, complain, shown
from language import MESSAGE, translated
from lines import columns, shortened
from sentence import sentence

REFERENCE = os.path.join(ROOT, "results", "reference")
NO_GROUPS = ("reference", "charts", "bench")
STAMPED = re.compile(r"(.+)-(\d{8}T\d{6}Z)$")


def is_aside(path):
    """Whether a file is no result of this machine: of a run in which something was taken away, of one whose other half
    was on another host, or of a simulated one."""
    with open(path, "rb") as file:
        row = rows.parse(file.readline())
    return isinstance(row, dict) and any(row.get(why) for why in ("sham", "peer", "simulated"))


def group_of(path):
    return os.path.basename(os.path.dirname(path))


def result_files(folder):
    """Those in its groups' folders and in bench; if there are none, those in the folder itself."""
    jsonl, nested, timings = (glob.glob(os.path.join(glob.escape(folder), pattern))
                              for pattern in ("*.jsonl", "*/*.jsonl", "bench/*.json"))
    return [path for path in nested if group_of(path) not in NO_GROUPS] + timings or jsonl


def newest(folder=RESULTS):
    """The newest result of every experiment on one host in a folder, and the newest timings of every bench."""
    found = {}
    for path in result_files(folder):
        if is_aside(path):
            continue
        stem = os.path.splitext(os.path.basename(path))[0]
        stamped = STAMPED.match(stem)
        if stamped:
            stem, utc = stamped.groups()
        else:
            utc = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(os.path.getmtime(path)))
        found.setdefault((group_of(path), stem), []).append((utc, path))
    if not found:
        raise Failed(f"there are no results yet: {again('race')} measures some" if folder == RESULTS else
                     f"{shown(folder)}: there are no results in it")
    return [max(found[key])[1] for key in sorted(found)]


def read_all(paths):
    """What can be read, and the worst status of the others."""
    results, status = [], 0
    for path in paths:
        try:
            results.append(rows.read(path))
        except rows.Unreadable as error:
            status = complain(f"{shown(path)}: {error}")
    return results, status


def reference():
    """The committed run of every experiment."""
    return read_all(sorted(glob.glob(os.path.join(REFERENCE, "*.jsonl"))))[0]


# --- what they found ------------------------------------------------------------------------------

WORDS = {"holds": MESSAGE("holds"), "refuted": MESSAGE("refuted"), "depends": MESSAGE("depends"),
         "not-seen": MESSAGE("not seen"), "unclear": MESSAGE("unclear"), "skipped": MESSAGE("skipped")}
MEANINGS = {"holds": MESSAGE("seen here, as it is taught"),
            "refuted": MESSAGE("a counter-example was seen"),
            "depends": MESSAGE("both cases were seen"),
            "not-seen": MESSAGE("it can happen, but did not here: that proves nothing"),
            "unclear": MESSAGE("this run cannot tell"),
            "skipped": MESSAGE("this machine cannot test it")}
ANSWERS = ("holds", "refuted", "depends", "not-seen")  # what a reader may expect, and a run can judge
# Between clauses, not between numbers; a Korean clause that ends with a comma needs the next one.
BOUNDARIES = re.compile(r"(?<![\uac00-\ud7a3]), (?!\d)|[;.] "), re.compile(": ")


def said(row, recorded):
    """What a row says, in the reader's language: by its template, or as it was recorded."""
    return sentence(row["template"], row["numbers"], translated) if "template" in row else translated(row[recorded])


class Finding(typing.NamedTuple):
    """A verdict on a claim; two experiments may each have one on the same."""
    result: rows.Result
    claim: str
    row: dict

    @property
    def text(self):
        return translated(self.result.run["claims"][self.claim])

    @property
    def verdict(self):
        return self.row["verdict"]

    @property
    def sentence(self):
        return said(self.row, "sentence")

    @property
    def program(self):
        return f"{self.result.run['group']}/{self.result.name}"


def findings(results):
    """Every verdict, in the order in which a reader should meet them; a sham finds nothing."""
    return [Finding(result, claim, row) for result in sorted(results, key=lambda result: result.order)
            if isinstance(result, rows.Result) and not result.sham
            for claim, row in result.verdicts.items() if claim in result.run.get("claims", {})]


def shown_verdict(verdict):
    return translated(WORDS.get(verdict, verdict))


def counts(found):
    """[(verdict, how many)] of those that there are."""
    count = collections.Counter(finding.verdict for finding in found)
    return [(verdict, count[verdict]) for verdict in WORDS if count[verdict]]


def headline(text, width):
    """As many first clauses of a sentence as fit, or its first words if these would say less than half of that."""
    if columns(text) <= width:
        return text
    for boundary in BOUNDARIES:
        ends = [at for at in (found.start() for found in boundary.finditer(text))
                if width / 2 <= columns(text[:at]) <= width and text.count("(", 0, at) == text.count(")", 0, at)]
        if ends:
            return text[:ends[-1]]
    return shortened(text, width)
