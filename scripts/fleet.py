#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write a page of many machines' results: on which claims they differ, and which recorded setting separates them.

RESULTS are folders of results, also one of many such folders, or files.  Results are of the same machine if they
lie in the same folder of results and their run rows name the same CPU, CPUs, quota, hypervisor, kernel and compiler:
rows name no host.  Of its runs of one experiment the newest counts.  The page is one file (docs/fleet.md).
"""
import collections
import hashlib
import json
import math
import os
import signal
import sys
from types import SimpleNamespace

from command import RESULTS, Failed, Parser, complain, end_with, need, progress, shown, write_whole

need("matplotlib", "numpy", "jinja2")

from markupsafe import Markup  # noqa: E402  jinja2's

import language  # noqa: E402
import rows  # noqa: E402
import separate  # noqa: E402
import vector  # noqa: E402
from charts import style  # noqa: E402
from compare import comparable, machine_settings, own_settings, setting_text  # noqa: E402
from language import say, translated  # noqa: E402
from report import TEMPLATES, part_of_page  # noqa: E402
from results import ANSWERS, MEANINGS, NO_GROUPS, WORDS  # noqa: E402
from strip import strip  # noqa: E402

LETTERS = dict(zip(WORDS, "hrdnus"))  # of a verdict in the page's data; "-": none
SEVERAL = 8  # groups of a setting, or settings, that the page names


# --- files ----------------------------------------------------------------------------------------

def result_paths(paths):
    """Every file of rows, in folders at any depth, but not the copy of the reference run that each machine has."""
    for path in paths:
        if os.path.isdir(path):
            found = []
            for folder, inner, names in os.walk(path):
                inner[:] = sorted(name for name in inner if name not in NO_GROUPS)
                found += [os.path.join(folder, name) for name in sorted(names) if name.endswith(".jsonl")]
            if not found:
                raise Failed(f"{shown(path)}: there are no results in it")
            yield from found
        else:
            yield path


def copies():
    """A function that says of which path read before a file is a copy, or None."""
    seen = {}

    def of(path):
        with open(path, "rb") as file:
            return seen.setdefault(hashlib.sha256(file.read()).digest(), path)
    return of


def place_of(path, result):
    """The folder of results that a file lies in, which may have a folder for each group."""
    folder = os.path.dirname(os.path.realpath(path))
    return os.path.dirname(folder) if os.path.basename(folder) == result.run.get("group") else folder


# --- machines -------------------------------------------------------------------------------------

def plain(setting):
    """A setting as separate.py takes it: None, a truth, a number, a text, or a list of texts."""
    if isinstance(setting, list):
        return list(map(str, setting))
    finite = isinstance(setting, (int, float)) and math.isfinite(setting)
    return setting if finite or setting is None or isinstance(setting, str) else str(setting)


def intervals(numbers):
    """{(name, whether it is a share): (low, mid, high)} of those that have an interval."""
    found = {}
    for name, number in (numbers or {}).items():
        if isinstance(number, dict):
            is_share = "k" in number
            three = [number["low"], (number["k"] / number["n"] if number["n"] else None) if is_share else number["mid"],
                     number["high"]]
            if None not in three and all(map(math.isfinite, three)) and three == sorted(three):
                found[name, is_share] = tuple(three)
    return found


class Run:
    """What the page says of a result: {claim: verdict}, {claim: intervals}, {name: setting} of two kinds."""

    def __init__(self, result):
        self.program = f"{result.run['group']}/{result.name}"
        self.order, self.utc = result.order, str(result.run.get("utc"))
        self.path = result.path
        self.claims = {claim: str(text) for claim, text in result.run["claims"].items()}
        found = {claim: row for claim, row in result.verdicts.items() if claim in self.claims}
        self.verdicts = {claim: sys.intern(row["verdict"]) for claim, row in found.items()}
        if not set(self.verdicts.values()) <= set(WORDS):
            raise ValueError("a verdict is an unknown word")
        self.numbers = {claim: intervals(row.get("numbers")) for claim, row in found.items()}
        self.machine, self.own = ({name: plain(setting) for name, setting in some.items()}
                                  for some in (machine_settings(result), own_settings(result)))

    @property
    def settings(self):
        return {**self.machine, **self.own}

    def share(self, other):
        """Keeps what is equal in another run only once: there may be a hundred thousand runs."""
        for name in ("claims", "machine", "own"):
            if getattr(self, name) == getattr(other, name):
                setattr(self, name, getattr(other, name))


class Machine:
    """Its newest run of each experiment."""

    def __init__(self, place, host):
        self.place, self.host, self.name = place, host, ""
        self.runs = {}
        self.simulated = False

    def add(self, run):
        run.share(next(iter(self.runs.values()), run))
        if run.program not in self.runs or self.runs[run.program].utc < run.utc:
            self.runs[run.program] = run

    @property
    def newest(self):
        return max(self.runs.values(), key=lambda run: run.utc)


class Fleet:
    """The machines of some files, what is left out and why, and the worst status of what cannot be read."""

    def __init__(self, paths):
        self.machines, self.left_out, self.status = {}, [], 0
        self.first = {}  # run of each experiment
        copy_of = copies()
        for number, path in enumerate(result_paths(paths), 1):
            if number % 100 == 0:
                progress(f"{number:,} files")
            try:
                result = rows.read(path)
                original = copy_of(path)
                if original != path:
                    self.leave_out(path, say("a copy of {path}", path=shown(original)))
                elif comparable(result):
                    self.add(path, result)
            except rows.Unreadable as error:
                self.status = complain(f"{shown(path)}: {error}")
            except Exception as error:
                if sys.flags.dev_mode:
                    raise
                self.status = complain(f"{shown(path)}: cannot be shown: {type(error).__name__}: {error}")
        progress("")
        self.machines = sorted(self.machines.values(), key=lambda machine: (machine.place, machine.host))
        name_all(self.machines)

    def leave_out(self, path, why):
        self.left_out.append((shown(path), why))

    def add(self, path, result):
        run, host = Run(result), style.host_parts(result)
        doubts = [] if result.controls_held and not result.interrupted else list(style.warnings_of(result))
        if doubts:
            self.leave_out(path, "; ".join(doubts))
            return
        if not run.verdicts:
            return
        place = place_of(path, result)
        machine = self.machines.setdefault((place, host), Machine(place, host))
        run.share(self.first.setdefault(run.program, run))
        machine.add(run)
        machine.simulated |= result.simulated


def name_all(machines):
    """Names each by its folder, within the one that all are in, and by what differs between hosts in that folder."""
    places = collections.defaultdict(list)
    for machine in machines:
        places[machine.place].append(machine)
    common = os.path.commonpath(list(places)) if len(places) > 1 else ""
    for place, some in places.items():
        name = os.path.relpath(place, common) if common and place != common else os.path.basename(place)
        told = [at for at, parts in enumerate(zip(*(machine.host for machine in some))) if len(set(parts)) > 1]
        for machine in some:
            machine.name = " \u00b7 ".join([name, *(machine.host[at] for at in told)])


# --- claims ---------------------------------------------------------------------------------------

class Claim:
    """A claim of an experiment, and what each machine that has it says: [(machine's number, its run)]."""

    def __init__(self, program, name):
        self.program, self.name, self.anchor, self.found = program, name, "", []

    @property
    def newest(self):
        return max((run for _, run in self.found), key=lambda run: run.utc)

    def judge(self):
        self.text = translated(self.newest.claims[self.name])
        self.order = self.newest.order
        count = collections.Counter(run.verdicts[self.name] for _, run in self.found)
        self.counts = [(verdict, count[verdict]) for verdict in WORDS if count[verdict]]
        judged = [(number, verdict) for verdict, number in self.counts if verdict in ANSWERS]
        self.most = max(judged)[1] if judged else None
        self.judged = sum(number for number, _ in judged)
        self.others = self.judged - max(judged)[0] if judged else 0  # machines that do not say what most do
        self.settings = []

    @property
    def answers(self):
        """(settings of each machine that can judge it, its verdict)."""
        some = [run for _, run in self.found if run.verdicts[self.name] in ANSWERS]
        return [run.settings for run in some], [run.verdicts[self.name] for run in some]


def claims_of(machines):
    """Those on which machines differ first, of these the ones with most machines that differ."""
    found = {}
    for number, machine in enumerate(machines):
        for run in machine.runs.values():
            for name in run.verdicts:
                found.setdefault((run.program, name), Claim(run.program, name)).found.append((number, run))
    for claim in found.values():
        claim.judge()
    claims = sorted(found.values(), key=lambda claim: (-claim.others, claim.order))
    differing = [claim for claim in claims if claim.others]
    for at, (claim, settings) in enumerate(zip(differing, separate.separate([claim.answers for claim in differing]))):
        claim.anchor = f"claim-{at + 1}"
        claim.settings = list(map(shown_setting, settings))
    return claims


def shown_setting(found):
    """A setting that may separate machines, in words."""
    name = found.names[0]
    groups = sorted(found.groups, key=lambda group: -sum(group[1].values()))
    return SimpleNamespace(
        name=name, same=found.names[1:], named=found.named, off=found.off, p=f"{max(found.p, 0.001):.2g}",
        rare=found.p <= 0.001, others=max(0, len(groups) - SEVERAL),
        groups=[(range_of(name, values), [(verdict, count[verdict]) for verdict in WORDS if count[verdict]])
                for values, count in groups[:SEVERAL]])


def range_of(name, values):
    texts = [setting_text(name, plain(value)) for value in values]
    return texts[0] if len(texts) == 1 else say("{least} to {most}", least=texts[0], most=texts[1])


def strips_of(claim, machines):
    """[(name, svg)] of the numbers that have intervals on two machines at least."""
    numbers = {}
    for at, run in claim.found:
        for key, three in run.numbers[claim.name].items():
            numbers.setdefault(key, {}).setdefault(run.verdicts[claim.name], []).append((machines[at].name, *three))
    return [(name, strip(f"{claim.anchor}.{place}", name, is_share, of_verdicts))
            for place, ((name, is_share), of_verdicts) in enumerate(numbers.items(), 1)
            if sum(map(len, of_verdicts.values())) > 1]


# --- the page -------------------------------------------------------------------------------------

def indexed(values):
    """The different ones, and the place of each among them."""
    places = {value: at for at, value in enumerate(dict.fromkeys(values))}
    return list(places), [places[value] for value in values]


def data_of(machines, claims):
    """What the page's script makes rows of: JSON within HTML."""
    newest = [machine.newest.machine for machine in machines]
    settings = []
    for name in dict.fromkeys(name for some in newest for name in some):
        texts, places = indexed([setting_text(name, some.get(name)) for some in newest])
        settings.append({"name": name, "texts": texts, "of": places})
    said = [["-"] * len(claims) for _ in machines]
    for at, claim in enumerate(claims):
        for number, run in claim.found:
            said[number][at] = LETTERS[run.verdicts[claim.name]]
    hosts, places = indexed([" \u00b7 ".join(machine.host) for machine in machines])
    data = {
        "words": [[LETTERS[verdict], verdict, translated(word)] for verdict, word in WORDS.items()],
        "claims": [[claim.text, LETTERS.get(claim.most, "-"), claim.others] for claim in claims],
        "settings": settings, "hosts": hosts,
        "machines": [[machine.name, place, "".join(letters), len(machine.runs), machine.newest.utc, machine.simulated]
                     for machine, place, letters in zip(machines, places, said)],
        "texts": {
            "shown": translated("{count} of {all} machines"), "list": translated("{count} more"),
            "runs": translated("{count} experiments, the newest of {utc}"),
            "unlike": translated("unlike most on {count} claims"), "most": translated("most machines: {verdict}"),
            "simulated": translated("SIMULATED"), "same": translated("It says what most machines say, of every claim."),
            "said": translated("{verdict} on: {claim}"), "settings": translated("Recorded settings"),
            "columns": translated("machines {first} to {last} of {all}"), "none": translated("not there")}}
    return Markup(json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"))


def render(fleet, claims):
    machines = fleet.machines
    differing = [claim for claim in claims if claim.others]
    for claim in differing:
        progress(f"drawing {claim.name}")
        claim.strips = strips_of(claim, machines)
    progress("")
    return TEMPLATES.get_template("fleet.html").render(
        machines=machines, claims=claims, differing=differing, left_out=fleet.left_out, language=language.code,
        named=[claim for claim in differing if any(one.named for one in claim.settings)], meanings=MEANINGS,
        verdicts=list(WORDS), simulated=sum(machine.simulated for machine in machines), letters=LETTERS,
        runs=sum(len(machine.runs) for machine in machines), bound=f"{separate.ALPHA:.0%}".replace("%", " %"),
        data=data_of(machines, claims),
        palettes={mode: Markup(vector.palette(mode, [])) for mode in vector.PAGES},
        style=part_of_page("style.css") + part_of_page("fleet.css"), script=part_of_page("fleet.js"))


def main():
    parser = Parser(description=__doc__.split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("results", metavar="RESULTS", nargs="+",
                        help="a folder of a machine's results, or of many such folders; or a file of rows")
    parser.add_argument("-o", "--out", metavar="FILE", default=os.path.join(RESULTS, "fleet.html"),
                        help="the page (default results/fleet.html)")
    language.add_option(parser)
    options = parser.parse_args()
    language.choose(options.lang)
    fleet = Fleet(dict.fromkeys(options.results))
    if not fleet.machines:
        return fleet.status or complain("there are no results to show: " + (
            f"all {len(fleet.left_out):,} are left out" if fleet.left_out else "none has a verdict"))
    page = render(fleet, claims_of(fleet.machines))
    os.makedirs(os.path.dirname(os.path.abspath(options.out)), exist_ok=True)
    write_whole(options.out, page.encode("utf-8", "replace"))
    print(f"fleet: {shown(options.out)}")
    return fleet.status


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly; the file is written in one go
    end_with(main)
