#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write a page of all that was found: each claim's verdict, the number behind it, why, its chart.

It is of the newest result of every experiment unless files are named, and says of each run what
would make it wrong: a control that failed, an interruption, a noisy machine.  The page is one file, made
of scripts/page/; everything that it says is there without its script, too.  Beside each verdict stands that of
other machines, or of the reference run.
"""
import collections
import os
import re
import shlex
import signal
import statistics
import sys
from types import SimpleNamespace

from command import RESULTS, ROOT, Parser, again, complain, end_with, need, progress, shown, write_whole

need("matplotlib", "numpy", "jinja2")

import jinja2  # noqa: E402
from markupsafe import Markup, escape  # noqa: E402  jinja2's

import language  # noqa: E402
import rows  # noqa: E402
import vector  # noqa: E402
from charts import style  # noqa: E402
from compare import Column, Run, columns_of, comparable  # noqa: E402
from language import say, translated  # noqa: E402
from plot import draw_each, drawable, figures  # noqa: E402
from results import (ANSWERS, MEANINGS, REFERENCE, Finding, counts, headline, newest, read_all,  # noqa: E402
                     reference, said, shown_verdict)
from sentence import value  # noqa: E402

PAGE = os.path.join(ROOT, "scripts", "page")
CARDS = 5
NUMBER, SHORT = 120, 90  # characters of what was measured, in the table and on a card
SURPRISES = ("refuted", "depends", "holds")  # the most surprising first
SEVERAL = 4  # of a field's texts that the table of data names

TEMPLATES = jinja2.Environment(loader=jinja2.FileSystemLoader(PAGE), autoescape=True, trim_blocks=True,
                               lstrip_blocks=True, undefined=jinja2.StrictUndefined)
TEMPLATES.filters["word"] = shown_verdict
TEMPLATES.globals["translated"] = translated
TEMPLATES.globals["say"] = lambda template, **words: escape(translated(template)).format(**words)  # which may be HTML


def texts(result, kind):
    """What the run said to people."""
    return [said(row, "text") for row in result.kinds.get(kind, [])]


def doubts(result):
    """Why a run is not to be trusted, or not whole."""
    return [*style.warnings_of(result), *texts(result, "failure")]


def noise(result):
    """What was disturbed of an experiment that measures times."""
    if isinstance(result, rows.Bench):
        return []
    every, left_out = len(result.all_samples), len(result.all_samples) - len(result.samples)
    found = style.disturbed(result) if result.run.get("timed", True) else []
    return found + [say("{count} of {all} samples were disturbed, and are left out", count=f"{left_out:,}",
                        all=f"{every:,}")] * (left_out > 0)


# --- an experiment --------------------------------------------------------------------------------

def fields_of(result):
    """What a sample may have: [declared field], and the samples."""
    if isinstance(result, rows.Bench):
        return [{"name": "time_s", "help": translated("of the whole program")}], [
            {"variant": row["variant"], "time_s": time} for row in result.results for time in row["times_s"]]
    return [field for field in result.run.get("fields", []) if field["row"] == "sample"], result.samples


def shown_value(name, number):
    return value(name, number, translated) if isinstance(number, (int, float)) else str(number)


def summary_of(name, samples):
    """A field of some samples: how many have it; median, least and most, or which texts."""
    values = [sample[name] for sample in samples if name in sample]
    if all(isinstance(number, (int, float)) for number in values):
        return len(values), [value(name, of(values), translated) for of in (statistics.median, min, max)]
    words = list(dict.fromkeys(map(str, values)))
    some = ", ".join(words[:SEVERAL])
    return len(values), [say("{some} and {count} more", some=some, count=len(words) - SEVERAL)
                         if len(words) > SEVERAL else some]


def groups_of(samples, result, keys):
    """The samples of each variant, and of each value of the fields that are keys, by what they are called."""
    groups = {}
    for variant, some in style.of_variants(samples, *result.run.get("variants", {})).items():
        for sample in some:
            which = [variant, *(f"{word} {shown_value(name, sample[name])}"
                                for name, word in keys.items() if name in sample)]
            groups.setdefault(", ".join(filter(None, which)) or translated("all"), []).append(sample)
    return groups


def data_of(result):
    """The table of data: [(field, [(which samples, how many, what of them)])]."""
    fields, samples = fields_of(result)
    keys = {field["name"]: translated(field.get("column", field["name"])).replace("|", " ")
            for field in fields if field.get("key")}
    groups = groups_of(samples, result, keys)
    table = []
    for field in fields:
        lines = [(which, *summary_of(field["name"], some)) for which, some in groups.items()
                 if any(field["name"] in sample for sample in some)]
        if lines and field["name"] not in keys:
            table.append((field, alike(lines)))
    return table


def alike(lines):
    """One line for all if every sample has the same value."""
    if len(lines) == 1 or len({cell for _, _, cells in lines for cell in cells}) > 1:
        return lines
    return [(translated("each"), sum(count for _, count, _ in lines), lines[0][2])]


def command_of(result):
    """What measures it again."""
    if isinstance(result, rows.Bench):
        return "make bench"
    params = result.run.get("params", {})
    words = [*(["--quick"] if params.get("quick") else []),
             *(["--sham", result.sham] if result.sham else []),
             *(["--seed", str(params["seed"])] if "seed" in params else [])]
    return " ".join([again(shlex.quote(f"{result.run['group']}/{result.name}")), *map(shlex.quote, words)])


def shams_of(result):
    """How each claim can fail: what takes away what it is about, and the verdict that must come."""
    judged = {row["claim"] for row in result.kinds.get("verdict", [])}
    return [(translated(result.run["claims"][claim]), row["sham"], row["then"])
            for claim, row in result.run.get("shams", {}).items() if claim in judged]


def claim_of(result, row, here, columns):
    finding = Finding(result, row["claim"], row)
    sentence = finding.sentence
    return SimpleNamespace(id=finding.claim, text=finding.text, verdict=finding.verdict,
                           sentence=sentence, remedy=translated(row.get("remedy")),
                           headline=headline(sentence, NUMBER), number=headline(sentence, SHORT),
                           cells=[column.cell(here, row["claim"]) for column in columns])


def elsewhere_of(claims, here, columns):
    """Of each column in which a verdict or a number is another one: the claims, and the settings that differ."""
    found = []
    for at, column in enumerate(columns):
        different = [(claim, claim.cells[at]) for claim in claims if claim.cells[at].differs or claim.cells[at].numbers]
        if different:
            found.append(SimpleNamespace(name=column.name, claims=different, settings=column.settings(here)))
    return found


def experiment(result, columns, folder):
    """All that the page says of a run, but for its charts."""
    here, columns = (Run(result), columns) if comparable(result) else (None, [])
    found = [claim_of(result, row, here, columns) for row in result.kinds.get("verdict", [])]
    anchor = re.sub(r"[^\w-]", "_", "-".join([result.run["group"], result.name, *filter(None, [result.sham])]))
    return SimpleNamespace(
        path=result.path, anchor=anchor, group=result.run["group"], name=result.name,
        question=translated(result.question),
        sham=result.sham, doubts=doubts(result), noise=noise(result), claims=found, whys=texts(result, "why"),
        notes=texts(result, "note"), data=data_of(result), shams=shams_of(result), command=command_of(result),
        elsewhere=elsewhere_of(found, here, columns),
        host=style.host_of(result), machine=style.machine_of(result), made=style.made_by(result),
        rows=os.path.relpath(result.path, folder), charts=[])


def showable(results, columns, folder):
    """What the page says of each result, and the worst status of those whose rows are of no use to it."""
    found, status = [], 0
    for result in results:
        try:
            shown_one = experiment(result, columns, folder)
            render([shown_one], columns)
            found.append(shown_one)
        except Exception as error:
            if sys.flags.dev_mode:  # python3 -X dev scripts/report.py FILE: where?
                raise
            status = complain(f"{shown(result.path)}: cannot be shown: {type(error).__name__}: {error}")
    anchors = collections.Counter()
    for one in found:
        anchors[one.anchor] += 1
        if anchors[one.anchor] > 1:  # another run of the same
            one.anchor += f"-{anchors[one.anchor]}"
    return found, status


# --- the page -------------------------------------------------------------------------------------

def cards_of(experiments):
    """Of each group its most surprising claim, and of these the most surprising ones; then others, up to five in all.

    Refuted is more surprising than depends, that more than holds; of equal ones the program that comes first, as
    headlines do.  No sham, and no run with a doubt.
    """
    found = sorted(((SURPRISES.index(claim.verdict), place, one, claim) for place, one in enumerate(experiments)
                    if not (one.sham or one.doubts) for claim in one.claims if claim.verdict in SURPRISES),
                   key=lambda card: card[:2])
    of_groups = {card[2].group: card for card in reversed(found)}
    first = [card for card in found if of_groups[card[2].group] is card]
    others = [card for card in found if of_groups[card[2].group] is not card]
    return [(one, claim) for _, _, one, claim in (first + others)[:CARDS]]


def part_of_page(name):
    with open(os.path.join(PAGE, name), encoding="utf-8") as file:
        return Markup(file.read())


def render(experiments, columns):
    found = [claim for one in experiments if not one.sham for claim in one.claims]
    hosts = collections.Counter(one.host for one in experiments)
    others = sorted(set().union(*(chart.others for one in experiments for chart in one.charts)))
    return TEMPLATES.get_template("template.html").render(
        experiments=experiments, groups=list(dict.fromkeys(one.group for one in experiments)), found=found,
        language=language.code, counts=counts(found), meanings=MEANINGS, answers=ANSWERS, cards=cards_of(experiments),
        hosts=[host for host, _ in hosts.most_common()], columns=columns,
        palettes={mode: Markup(vector.palette(mode, others)) for mode in vector.PAGES},
        style=part_of_page("style.css"), script=part_of_page("script.js"))


def beside(results, paths):
    """The columns beside these results, and the worst status of what cannot be read: the reference run by default."""
    if paths:
        return columns_of(paths, results)
    itself = all(os.path.dirname(os.path.abspath(result.path)) == REFERENCE for result in results)
    return ([] if itself else [Column(REFERENCE, reference(), translated("reference run"))]), 0


def main():
    parser = Parser(description=__doc__.split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("files", metavar="FILE", nargs="*",
                        help="result files; without any, the newest one of every experiment")
    parser.add_argument("--out", metavar="DIR", default=RESULTS, help="where report.html goes (default results)")
    parser.add_argument("--compare", metavar="DIR|FILE", nargs="+",
                        help="results of other machines, a column each (default: the reference run)")
    language.add_option(parser)
    options = parser.parse_args()
    language.choose(options.lang)
    results, status = read_all(dict.fromkeys(options.files or newest()))
    if not results:
        return status
    results.sort(key=lambda result: result.order)
    columns, unread = beside(results, options.compare)
    experiments, unshown = showable(results, columns, options.out)
    status = max(status, unread, unshown)
    if not experiments:
        return status
    os.makedirs(options.out, exist_ok=True)
    of_path = {one.path: one for one in experiments}

    def draw(result):
        progress(f"drawing {shown(result.path)}")
        one = of_path[result.path]
        key = f"c{experiments.index(one)}"  # short: it stands in the page 20,000 times
        one.charts = [vector.Chart(figure, f"{key}.{number}") for number, figure in enumerate(figures(result).values())]

    measured = [result for result in results if result.path in of_path and not result.skipped]  # the page says why
    _, undrawn = draw_each(drawable(measured)[0], draw)
    progress("")
    path = os.path.join(options.out, "report.html")
    write_whole(path, render(experiments, columns).encode("utf-8", "replace"))
    print(f"report: {shown(path)}")
    return max(status, undrawn)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly; the file is written in one go
    end_with(main)
