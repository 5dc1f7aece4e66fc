# SPDX-License-Identifier: MIT
"""What differs between results of the same experiments: verdicts, numbers, and the recorded settings of their runs.

Two numbers differ if both have an interval and these do not overlap; of a number without one nothing is known.
"""
import collections
import os
import sys
from types import SimpleNamespace

import rows
from charts import style
from command import Failed, complain, shown
from language import translated
from results import findings, newest, read_all
from sentence import parts_of, value

DECLARED = {"row", "schema", "experiment", "group", "order", "timed", "summary", "sham", "claims", "fields", "bounds",
            "shams", "simulated"}
NO_SETTING = DECLARED | {"variants", "params", "sysctl", "flags", "utc", "load"}  # or a setting of its own, below
MEASURED_WITH = ("python", "compiler")  # fields of samples


def comparable(result):
    """Whether it has verdicts: timings of whole programs have none, a sham's are of something else."""
    return isinstance(result, rows.Result) and not result.sham


class Run:
    """What of a result can be compared: {claim: finding}, {claim: {name: number}}, {name: setting}."""

    def __init__(self, result):
        self.program = f"{result.run['group']}/{result.name}"
        self.utc = str(result.run.get("utc"))
        self.host = style.host_parts(result)
        self.findings = {finding.claim: finding for finding in findings([result]) if isinstance(finding.verdict, str)}
        self.numbers = {claim: numbers_of(finding.row.get("numbers") or {}) for claim, finding in self.findings.items()}
        self.settings = settings_of(result)


def numbers_of(numbers):
    """{name: (low, high, text)} of those that have an interval."""
    return {name: (number["low"], number["high"], parts_of(name, number, translated)[""])
            for name, number in numbers.items()
            if isinstance(number, dict) and None not in (number["low"], number["high"])}


def differing_numbers(here, there):
    """[(name, here, there)] of two such."""
    return [(name, text, there[name][2]) for name, (low, high, text) in here.items()
            if name in there and (low > there[name][1] or high < there[name][0])]


# --- settings -------------------------------------------------------------------------------------

def machine_settings(result):
    """{name: setting, or a list of some} of the machine and of what the programs were built with."""
    run = result.run
    return {
        **{name: setting for name, setting in run.items() if name not in NO_SETTING},
        "flags": run.get("flags", "").split(),
        **run.get("sysctl", {})}


def own_settings(result):
    """The same of what is the experiment's: its options, variants and interpreters."""
    run, params = result.run, result.run.get("params", {})
    return {
        **{f"option {name}": setting for name, setting in params.items() if style.matters(name, setting)},
        "variants": [name for name in run.get("variants", {}) if name not in params.get("left_out", {})],
        **{f"{name} of the trials": list(dict.fromkeys(sample[name] for sample in result.all_samples if name in sample))
           for name in MEASURED_WITH}}


def settings_of(result):
    """All that a run recorded and did not measure."""
    return {**machine_settings(result), **own_settings(result)}


def setting_text(name, setting):
    if setting in (None, "", []):
        return translated("none")
    if isinstance(setting, bool):
        return translated("yes") if setting else translated("no")
    if isinstance(setting, (int, float)):
        return value(name, setting, translated)
    return ", ".join(map(str, setting)) if isinstance(setting, list) else str(setting)


def differing_settings(here, there):
    """[(name, here, there)]; of lists what the other one has not."""
    found = []
    for name in dict.fromkeys([*here, *there]):
        both = here.get(name), there.get(name)
        if both[0] != both[1]:
            if isinstance(both[0], list) and isinstance(both[1], list):
                both = [[part for part in some if part not in other] for some, other in (both, both[::-1])]
            found.append((name, *(setting_text(name, setting) for setting in both)))
    return found


# --- columns --------------------------------------------------------------------------------------

class Column:
    """Results of another machine, or of this one at another time, beside those of a page."""

    def __init__(self, path, results, name=None):
        self.path, self.name, self.status = path, name, 0
        self.folder = os.path.basename(os.path.abspath(path))  # or the file
        runs = []
        for result in results:
            try:
                runs += [Run(result)] if comparable(result) else []
            except Exception as error:
                if sys.flags.dev_mode:
                    raise
                self.status = complain(f"{shown(result.path)}: cannot be compared: {type(error).__name__}: {error}")
        self.runs = {run.program: run for run in sorted(runs, key=lambda run: run.utc)}
        self.host = usual_host(runs)

    def claims(self):
        return {(program, claim) for program, run in self.runs.items() for claim in run.findings}

    def cell(self, here, claim):
        """What it has on a claim of a run: a verdict or None; if that is the same, which of its numbers differ."""
        there = self.runs.get(here.program)
        finding = there.findings.get(claim) if there else None
        if not finding:
            return SimpleNamespace(verdict=None, differs=False, numbers=[])
        differs = finding.verdict != here.findings[claim].verdict
        numbers = [] if differs else differing_numbers(here.numbers[claim], there.numbers[claim])
        return SimpleNamespace(verdict=finding.verdict, sentence=finding.sentence, differs=differs, numbers=numbers)

    def settings(self, here):
        return differing_settings(here.settings, self.runs[here.program].settings)


def usual_host(runs):
    """The parts of the machine that most of them were made on."""
    hosts = collections.Counter(run.host for run in runs)
    return hosts.most_common(1)[0][0] if hosts else ()


def name_all(columns, here):
    """Names each by its kernel, its CPUs and what else is not the same in all; where that is no name, by its folder."""
    hosts = [*(column.host for column in columns), here]
    told = [at for at, parts in enumerate(zip(*hosts)) if at in (style.CPUS, style.KERNEL) or len(set(parts)) > 1]
    names = [" · ".join(host[at] for at in told) for host in hosts]
    folders = [column.folder for column in columns]
    for column, name in zip(columns, names):
        column.name = (name if names.count(name) == 1 else
                       column.folder if folders.count(column.folder) == 1 else shown(column.path))


def results_in(path):
    """Of a folder the newest of each experiment, and the worst status of others; the one in a file."""
    if os.path.isdir(path):
        return read_all(newest(path))
    try:
        return [rows.read(path)], 0
    except rows.Unreadable as error:
        raise Failed(f"{shown(path)}: {error}") from None


def columns_of(paths, results):
    """A column of each folder or file beside these results, and the worst status of what cannot be read."""
    here = Column("", results)
    claims = here.claims()
    columns, status = [], 0
    for path in dict.fromkeys(paths):
        found, unread = results_in(path)
        column = Column(path, found)
        if not claims & column.claims():
            raise Failed(f"{shown(path)}: it has no verdict on a claim of this page")
        columns.append(column)
        status = max(status, unread, column.status)
    name_all(columns, here.host)
    return columns, status
