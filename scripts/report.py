#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write a page of all that was found: each claim's verdict, the number behind it, why, its chart.

It is of the newest result of every experiment unless files are named, and says of each run what
would make it wrong: a control that failed, an interruption, a noisy machine.
"""
import os
import signal
import sys
import xml.etree.ElementTree as tree

from command import RESULTS, Parser, complain, end_with, progress, shown, write_whole
from plot import draw_all, drawable  # first: it finds a python3 with matplotlib
from charts.style import machine_of, made_by, warnings_of  # isort: skip
from results import WORDS, counts, findings, newest, read_all, shown_verdict

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #666; --holds: #00684a; --refuted: #a8321a;
  --depends: #7a5300; --not-seen: #00527f; --skipped: #555; --unclear: #7a3f8f; --failed: #a8321a; }
@media (prefers-color-scheme: dark) { :root { --soft: #aaa; --holds: #3ecf9b; --refuted: #ff8a6b;
  --depends: #e8b54a; --not-seen: #6cc0f5; --skipped: #aaa; --unclear: #d6a3e8; --failed: #ff8a6b; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3 { line-height: 1.2; }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
h3 { margin-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid var(--line); }
.word { font-weight: 700; white-space: nowrap; }
.holds { color: var(--holds); } .refuted { color: var(--refuted); }
.depends { color: var(--depends); } .not-seen { color: var(--not-seen); }
.skipped { color: var(--skipped); } .unclear { color: var(--unclear); }
.soft { color: var(--soft); font-size: .875rem; }
.failed { border-left: .3rem solid var(--failed); padding-left: .8rem; font-weight: 700; }
dd { margin: 0 0 .8rem; }
img { max-width: 100%; height: auto; background: white; border-radius: .3rem; }
code { overflow-wrap: anywhere; }
@media print { section { break-inside: avoid; } a { color: inherit; text-decoration: none; } }
"""


def add(parent, tag, text="", **attributes):
    """A new element in another one; "class_" is its class."""
    element = tree.SubElement(parent, tag, {name.rstrip("_"): value
                                            for name, value in attributes.items()})
    element.text = text
    return element


def word_of(parent, tag, verdict):
    return add(parent, tag, shown_verdict(verdict), class_=f"word {verdict}")


def anchor_of(result):
    return f"{result.run['group']}-{result.name}" + (f"-{result.sham}" if result.sham else "")


def texts(result, kind):
    """What the run said to people."""
    return [row["text"] for row in result.kinds.get(kind, [])]


def doubts(result):
    """Why a run is not to be trusted, or not whole."""
    return [*warnings_of(result), *texts(result, "failure")]


# --- the page's parts -----------------------------------------------------------------------------

def overview(body, results):
    """Every verdict in a line; who wants to know more follows the link.  A sham finds nothing."""
    found = findings(results)
    legend = add(body, "p", f"{len(found)} verdicts. ")
    for verdict, count in counts(found):
        word_of(legend, "span", verdict).tail = f" {count} ({WORDS[verdict]}). "
    table = add(body, "table")
    head = add(add(table, "thead"), "tr")
    for title in ("what is taught", "here", "measured by"):
        add(head, "th", title, scope="col")
    lines = add(table, "tbody")
    for finding in found:
        line = add(lines, "tr")
        add(line, "td", finding.text)
        word_of(line, "td", finding.verdict)
        add(add(line, "td"), "a", finding.program, href=f"#{anchor_of(finding.result)}")


def found(section, result):
    """The verdicts, with what was measured."""
    claims = add(section, "dl")
    for row in result.kinds.get("verdict", []):
        name = add(claims, "dt", result.run["claims"][row["claim"]] + ": ")
        word_of(name, "span", row["verdict"]).tail = " "
        add(name, "code", row["claim"], class_="soft")
        said = add(claims, "dd", row["sentence"])
        if "remedy" in row:
            add(said, "span", f" What may decide it: {row['remedy']}.", class_="soft")


def shams_of(section, result):
    """How each claim can fail: what takes away what it is about, and the verdict that must come."""
    judged = {row["claim"] for row in result.kinds.get("verdict", [])}
    shams = {claim: row for claim, row in result.run.get("shams", {}).items() if claim in judged}
    if not shams:
        return
    table = add(section, "table")
    head = add(add(table, "thead"), "tr")
    for title in ("claim", "made to fail by", "must come out as"):
        add(head, "th", title, scope="col")
    lines = add(table, "tbody")
    for claim, row in shams.items():
        line = add(lines, "tr")
        add(line, "td", result.run["claims"][claim])
        add(add(line, "td"), "code", row["sham"])
        word_of(line, "td", row["then"])


def experiment(body, result, charts, folder):
    section = add(body, "section", id=anchor_of(result))
    add(section, "h3", ": ".join(filter(None, (result.name, result.question))))
    for doubt in doubts(result):
        add(section, "p", doubt, class_="failed")
    found(section, result)
    for why in texts(result, "why"):
        add(section, "p", f"Why: {why}")
    for note in texts(result, "note"):
        add(section, "p", f"Note: {note}", class_="soft")
    for path in charts:
        add(section, "img", src=os.path.relpath(path, folder), width="1600", height="1000",
            loading="lazy", alt=f"chart: {result.question or result.name}")
    shams_of(section, result)
    made = add(section, "p", "" if charts else f"{machine_of(result)} · {made_by(result)} · ",
               class_="soft")
    add(made, "a", "its rows", href=os.path.relpath(result.path, folder))


def page(results, charts, folder):
    html = tree.Element("html", {"lang": "en"})
    head = add(html, "head")
    add(head, "meta", charset="utf-8")
    add(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    add(head, "title", "stallrace: what holds on this machine")
    add(head, "style", STYLE)
    body = add(html, "body")
    add(body, "h1", "What lecture notes teach, and what this machine does")
    for machine in dict.fromkeys(map(machine_of, results)):
        add(body, "p", machine)
    for result in results:
        for doubt in doubts(result):
            add(add(body, "p", class_="failed"), "a", f"{result.name}: {doubt}",
                href=f"#{anchor_of(result)}")
    overview(body, results)
    for group in dict.fromkeys(result.run["group"] for result in results):
        add(body, "h2", group)
        for result in results:
            if result.run["group"] == group:
                experiment(body, result, charts.get(result.path, []), folder)
    return b"<!DOCTYPE html>\n" + tree.tostring(html, encoding="utf-8", method="html") + b"\n"


def showable(results):
    """Those that a page can be made of, and the worst status of the others, whose rows are of no use to it."""
    found, status = [], 0
    for result in results:
        try:
            page([result], {}, ".")
            found.append(result)
        except Exception as error:
            if sys.flags.dev_mode:  # python3 -X dev scripts/report.py FILE: where?
                raise
            status = complain(f"{shown(result.path)}: cannot be shown: {type(error).__name__}: {error}")
    return found, status


def main():
    parser = Parser(description=__doc__.split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("files", metavar="FILE", nargs="*",
                        help="result files; without any, the newest one of every experiment")
    parser.add_argument("--out", metavar="DIR", default=RESULTS,
                        help="where report.html and charts/ go (default results)")
    options = parser.parse_args()
    results, unread = read_all(options.files or newest())
    results, unshown = showable(results)
    if not results:
        return max(unread, unshown)
    results.sort(key=lambda result: result.order)
    measured = [result for result in results if not result.skipped]  # the page says why others are not
    charts, undrawn = draw_all(drawable(measured)[0], "png", os.path.join(options.out, "charts"),
                               lambda path: progress(f"drawn: {path}"))
    progress("")
    path = os.path.join(options.out, "report.html")
    write_whole(path, page(results, charts, options.out))
    print(f"report: {shown(path)}")
    return max(unread, unshown, undrawn)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly; files are written in one go
    end_with(main)
