# SPDX-License-Identifier: MIT
"""Reads result files: the one place that knows what a whole one looks like (results/README.md).

A file that is cut short, or of another schema, raises Unreadable, whose text is one line for
people.  A run that was interrupted, or whose controls failed, is readable: whoever shows it must
say so.
"""
import json

from language import MESSAGE, translated

SCHEMA = 2
NO_ORDER = 9999  # of a run that says nothing of it: the last


class Unreadable(Exception):
    """The file cannot be used; str() says why in one line."""


class NotAResult(Unreadable):
    """Some other file."""


class UnknownSchema(Unreadable):
    """A result of another version of the suite."""


class Truncated(Unreadable):
    """Cut short: a line is broken, or rows are missing."""


class Measured:
    """What results and timings share: the run row."""

    @property
    def order(self):
        """Where it comes among all, as a reader should meet them: for sorting."""
        order = self.run.get("order")
        return order if isinstance(order, int) and order else NO_ORDER, str(self.run.get("group", "")), self.name

    @property
    def compiler(self):
        """With the flags that decide what it makes: optimisation and sanitizers."""
        deciding = [flag for flag in self.run.get("flags", "").split()
                    if flag.startswith(("-O", "-fsanitize"))]
        return " ".join([self.run.get("compiler", "?"), *deciding])

    @property
    def sham(self):
        """The claim or control that was taken away, or None: such a run is no result."""
        return self.run.get("sham")

    @property
    def simulated(self):
        """Whether nothing of it was measured: such a run is no result either."""
        return bool(self.run.get("simulated"))


class Result(Measured):
    """One run of one experiment."""

    def __init__(self, path, rows):
        self.path = path
        self.run = rows[0]
        self.end = rows[-1]
        self.kinds = {}  # the rows between, by kind: "sample", "verdict", "why", "call" ...
        for row in rows[1:-1]:
            self.kinds.setdefault(row["row"], []).append(row)

    @property
    def name(self):
        return self.run["experiment"]

    @property
    def question(self):
        return self.run.get("summary", "")

    @property
    def all_samples(self):
        return self.kinds.get("sample", [])

    @property
    def samples(self):
        """Those that the verdicts are made of: of an experiment that measures times, of trials that
        nothing disturbed; but all of a variant that has no other (disturbed)."""
        if not self.run.get("timed", True):
            return self.all_samples
        shown = self.disturbed
        return [row for row in self.all_samples
                if "disturbed" not in row or row.get("variant") in shown]

    @property
    def disturbed(self):
        """The variants without a calm trial, so that what is shown of them was disturbed."""
        calm = {row.get("variant") for row in self.all_samples if "disturbed" not in row}
        return list(dict.fromkeys(row.get("variant") for row in self.all_samples
                                  if row.get("variant") not in calm))

    def bound(self, name):
        """A threshold of the experiment's, by its name."""
        return self.run["bounds"][name]["value"]

    def help(self, variant):
        """What a variant does, in words."""
        return translated(self.run["variants"][variant])

    def verdict(self, claim):
        """Its word, or None."""
        return self.verdicts.get(claim, {}).get("verdict")

    @property
    def verdicts(self):
        """The verdict rows by their claim."""
        return {row.get("claim"): row for row in self.kinds.get("verdict", [])}

    def number(self, claim, name):
        """A number behind a verdict, for titles, which say what the verdict says.

        None for a claim that was not judged, and for what could not be measured; KeyError for a
        name that the verdict does not have: a mistake in the chart.
        """
        if self.verdict(claim) in (None, "skipped"):
            return None
        number = self.verdicts[claim]["numbers"]
        for part in name.split("."):  # "wrong.k" of a share, "ratio.mid" of an interval
            number = number[part]
        return number

    @property
    def interrupted(self):
        """None, or what ended the run early: a signal's name, "error" or "hung"."""
        return self.end.get("interrupted")

    @property
    def controls_held(self):
        return self.end.get("controls_held") is True

    @property
    def skipped(self):
        """Why this machine could not make the run at all, or None."""
        if self.samples:
            return None
        verdicts = self.kinds.get("verdict", [])
        if verdicts and all(row.get("verdict") == "skipped" for row in verdicts):
            return verdicts[0].get("sentence", "skipped")
        return None


class Bench(Measured):
    """Timings of whole programs, as scripts/bench writes them."""

    question = MESSAGE("How long does the whole program take?")
    kinds = {}  # no rows
    interrupted = None  # it keeps nothing of an interrupted run,
    controls_held = True  # nor of one with a program that failed
    disturbed = ()  # it does not measure that
    skipped = None

    def __init__(self, path, document):
        self.path = path
        self.document = document
        self.run = document["machine"]
        self.name = f"bench-{document['bench']}"
        self.results = document["results"]


def read(path):
    """The Result or the Bench in a file; raises Unreadable."""
    try:
        with open(path, "rb") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise Unreadable(error.strerror) from None
    if lines and lines[0].strip() == b"{":  # indented, so not JSON Lines
        return read_bench(path, b"\n".join(lines))
    return read_rows(path, lines)


def read_rows(path, lines):
    rows = []
    for number, line in enumerate(lines, 1):
        row = parse(line)
        if number == 1:
            check_run(row)
        elif not isinstance(row, dict) or "row" not in row or not all(
                isinstance(row.get(name, ""), str) for name in ("row", "variant", "claim")):
            raise Truncated(f"line {number} is broken" if number < len(lines) else
                            f"cut short: its last line, {number}, is broken")
        elif row["row"] == "run":
            raise Truncated(f"line {number} begins a second run")
        elif rows[-1]["row"] == "end":
            raise Truncated(f"line {number} follows the end row")
        rows.append(row)
    if not rows:
        raise NotAResult("not a result file: it is empty")
    if rows[-1]["row"] != "end":
        raise Truncated("cut short: it has no end row")
    result = Result(path, rows)
    promised = result.end.get("samples")
    if promised != len(result.all_samples):
        raise Truncated(f"has {len(result.all_samples)} samples, but its end row says {promised}")
    return result


def read_bench(path, text):
    document = parse(text)
    if document is None:
        raise Truncated("broken or cut short: it is not JSON")
    if not isinstance(document, dict) or "bench" not in document:
        raise NotAResult("not a result file: it is other JSON")
    check_schema(document)
    try:
        check_run(document["machine"])
        whole = all(result["times_s"] and result["variant"] for result in document["results"])
    except (KeyError, TypeError):
        whole = False
    if not whole or not document["results"]:
        raise Truncated("broken: timings are missing")
    return Bench(path, document)


def parse(line):
    """The JSON value, or None."""
    try:
        return json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def check_run(row):
    if not isinstance(row, dict) or row.get("row") != "run":
        raise NotAResult("not a result file: it does not begin with a run row")
    check_schema(row)
    if not isinstance(row.get("experiment"), str):
        raise NotAResult("not a result file: its run row names no experiment")


def check_schema(row):
    if row.get("schema") != SCHEMA:
        older = row.get("schema") in range(1, SCHEMA)
        raise UnknownSchema(f"has schema {row.get('schema')!r}, this script reads {SCHEMA}"
                            + (": it is of an older version of the suite and must be measured "
                               "again" if older else ""))
