#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draw result files: pictures of each experiment, of its newest result unless files are named.

Charts are functions of the rows alone: drawn again from the same file they are the same bytes.
How an experiment is drawn is said in charts/NAME.py; one that has none gets charts/default.py.
"""
import argparse
import glob
import importlib
import io
import logging
import os
import re
import signal
import sys
import time

SCRIPTS = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(os.path.dirname(SCRIPTS), "results")
STAMPED = re.compile(r"(.+)-(\d{8}T\d{6}Z)$")

os.environ["MPLBACKEND"] = "Agg"  # whatever the user's is; there may be no display
logging.getLogger("matplotlib").setLevel(logging.ERROR)  # not that it builds its font cache
try:
    import matplotlib
    import numpy  # noqa: F401  the charts need it: better to know now
except ImportError as error:
    # The python3 on PATH may lack what /usr/bin/python3 has; scripts/python finds one, or ends
    # with 77.
    if os.environ.get("STALLRACE_FOR") == "plot":
        print(f"plot: {sys.executable}: {error}", file=sys.stderr)
        sys.exit(77)
    os.environ["STALLRACE_FOR"] = "plot"
    finder = os.path.join(SCRIPTS, "python")
    os.execv(finder, [finder, "matplotlib,numpy", "--", os.path.abspath(__file__)] + sys.argv[1:])

import rows  # noqa: E402
from charts import style  # noqa: E402


def complain(what):
    print(f"plot: {what}", file=sys.stderr)


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, as the programs do."""

    def error(self, message):
        complain(f"{message} (see --help)")
        sys.exit(2)


def shown(path):
    """A path as people would type it here."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def newest():
    """The newest result of every experiment, and the newest timings of every bench."""
    found = {}
    for path in glob.glob(os.path.join(RESULTS, "*", "*.json*")):
        folder, name = os.path.split(path)
        stem, extension = os.path.splitext(name)
        group = os.path.basename(folder)
        if group in ("reference", "charts") or extension != (
                ".json" if group == "bench" else ".jsonl"):
            continue
        stamped = STAMPED.match(stem)
        if stamped:
            stem, utc = stamped.groups()
        else:
            utc = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(os.path.getmtime(path)))
        found.setdefault((group, stem), []).append((utc, path))
    return [max(found[key])[1] for key in sorted(found)]


def chart_of(result):
    """The module that draws this result."""
    if isinstance(result, rows.Bench):
        return importlib.import_module("charts.bench")
    module = result.name.replace("-", "_")
    shared = ("bench", "default", "style")
    if (re.fullmatch(r"[a-z]\w*", module) and module not in shared
            and os.path.exists(os.path.join(SCRIPTS, "charts", f"{module}.py"))):
        return importlib.import_module(f"charts.{module}")
    return importlib.import_module("charts.default")


def pictures(result, kind):
    """The pictures' bytes by what is added to the chart's name; the same for the same rows."""
    matplotlib.rcdefaults()  # the user's own style would change the picture
    matplotlib.rcParams.update(style.LOOK)
    drawn = chart_of(result).draw(result)
    nothing = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
    found = {}
    for suffix, figure in (drawn if isinstance(drawn, dict) else {"": drawn}).items():
        data = io.BytesIO()
        figure.savefig(data, format=kind, metadata=nothing[kind])
        found[suffix] = data.getvalue()
    return found


def write(path, data):
    """Writes the whole file or none."""
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "wb") as file:
            file.write(data)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.unlink(part)


def names_of(results):
    """A chart is named after its experiment, or after its file where several show the same one."""
    names = [result.name for result in results]
    stems = [os.path.splitext(os.path.basename(result.path))[0] for result in results]
    names = [stem if names.count(name) > 1 else name for name, stem in zip(names, stems)]
    return [re.sub(r"[^\w.-]", "_", name).lstrip(".") or "chart" for name in names]


def read_all(paths):
    """The results that can be drawn, and the worst status of the others."""
    results, status = [], 0
    for path in paths:
        try:
            result = rows.read(path)
        except rows.Unreadable as error:
            complain(f"{shown(path)}: {error}")
            status = 2
            continue
        if result.skipped:
            complain(f"{shown(path)}: nothing to draw, it was skipped: {result.skipped}")
            status = status or 77
        elif isinstance(result, rows.Result) and not result.samples:
            complain(f"{shown(path)}: nothing to draw, it has no samples")
            status = 2
        else:
            results.append(result)
    return results, status


def draw_all(results, kind, out):
    status = 0
    names = names_of(results)
    for result, name in zip(results, names):
        if names.count(name) > 1:
            complain(f"{shown(result.path)}: another chart here would be named {name}.{kind} too")
            status = 2
            continue
        path = os.path.join(out, f"{name}.{kind}")
        try:
            for suffix, data in pictures(result, kind).items():
                path = os.path.join(out, f"{name}{suffix}.{kind}")
                write(path, data)
                print(shown(path), flush=True)
        except OSError as error:
            complain(f"{shown(path)}: {error.strerror}")
            return 2
        except Exception as error:  # rows of the right kind, with fields that the chart cannot use
            if sys.flags.dev_mode:  # python3 -X dev scripts/plot.py FILE: where?
                raise
            complain(f"{shown(result.path)}: cannot be drawn: {type(error).__name__}: {error}")
            status = 2
    return status


def main():
    parser = Parser(description=__doc__.split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("files", metavar="FILE", nargs="*",
                        help="result files; without any, the newest one of every experiment")
    parser.add_argument("--format", choices=("png", "svg"), default="png")
    parser.add_argument("--out", metavar="DIR", default=os.path.join(RESULTS, "charts"),
                        help="where the charts go (default results/charts)")
    options = parser.parse_args()

    paths = options.files or newest()
    if not paths:
        complain("there are no results yet: make demo, or make run-race, measures some")
        return 2
    results, unread = read_all(paths)
    if not results:
        return unread
    try:
        os.makedirs(options.out, exist_ok=True)
    except OSError as error:
        complain(f"{options.out}: {error.strerror}")
        return 2
    failed = draw_all(results, options.format, options.out)
    return 2 if 2 in (unread, failed) else 0


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGPIPE):  # end quietly; pictures are written in one go
        signal.signal(number, signal.SIG_DFL)
    sys.exit(main())
