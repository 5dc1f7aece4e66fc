#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draw result files: pictures of each experiment, of its newest result unless files are named.

Charts are functions of the rows alone: drawn again from the same file they are the same bytes.
How an experiment is drawn is said in charts/NAME.py; one that has none gets charts/default.py.
"""
import importlib
import io
import logging
import os
import re
import signal
import sys
import warnings

from command import RESULTS, Failed, Parser, complain, end_with, need, shown, write_whole

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # not that it builds its font cache
need("matplotlib", "numpy")

import matplotlib  # noqa: E402
import numpy  # noqa: E402

import rows  # noqa: E402
from charts import style  # noqa: E402
from results import newest, read_all  # noqa: E402

SCRIPTS = os.path.dirname(os.path.abspath(__file__))


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


def figures(result):
    """The figures by what is added to the chart's name."""
    matplotlib.rcdefaults()  # the user's own style would change the picture
    matplotlib.rcParams.update(style.LOOK)
    warnings.filterwarnings("ignore", "Glyph")  # of a character that no font has: it shows as a box
    numpy.seterr(over="ignore")  # by a damaged number; what it leaves to draw is drawn
    drawn = chart_of(result).draw(result)
    return drawn if isinstance(drawn, dict) else {"": drawn}


def picture(figure, kind, **how):
    """The figure's bytes; the same for the same rows."""
    nothing = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
    data = io.BytesIO()
    figure.savefig(data, format=kind, metadata=nothing[kind], **how)
    return data.getvalue()


def names_of(results):
    """A chart is named after its experiment, or after its file where several show the same one."""
    names = [result.name for result in results]
    stems = [os.path.splitext(os.path.basename(result.path))[0] for result in results]
    names = [stem if names.count(name) > 1 else name for name, stem in zip(names, stems)]
    return [re.sub(r"[^\w.-]", "_", name).lstrip(".") or "chart" for name in names]


def drawable(results):
    """What can be drawn, and the worst status of the others."""
    found, status = [], 0
    for result in results:
        if result.skipped:
            complain(f"{shown(result.path)}: nothing to draw, it was skipped: {result.skipped}")
            status = status or 77
        elif isinstance(result, rows.Result) and not result.samples:
            status = complain(f"{shown(result.path)}: nothing to draw, it has no samples")
        else:
            found.append(result)
    return found, status


def draw_each(results, draw):
    """draw(result) of those that can be drawn, by the result's path, and the worst status of the others."""
    drawn, status = {}, 0
    for result in results:
        try:
            drawn[result.path] = draw(result)
        except (OSError, Failed):
            raise
        except Exception as error:  # rows of the right kind, with fields that the chart cannot use
            if sys.flags.dev_mode:  # python3 -X dev scripts/plot.py FILE: where?
                raise
            status = complain(f"{shown(result.path)}: cannot be drawn: "
                              f"{type(error).__name__}: {error}")
    return drawn, status


def draw_all(results, kind, out):
    """Draws into a folder and prints each path; the worst status."""
    names = names_of(results)
    os.makedirs(out, exist_ok=True)
    status, paths = 0, {}
    for result, name in zip(results, names):
        if names.count(name) > 1:
            status = complain(f"{shown(result.path)}: another chart here would be named "
                              f"{name}.{kind} too")
        else:
            paths[result.path] = os.path.join(out, name)

    def draw(result):
        for suffix, data in [(suffix, picture(figure, kind)) for suffix, figure in figures(result).items()]:
            path = f"{paths[result.path]}{suffix}.{kind}"
            write_whole(path, data)
            print(shown(path))

    _, undrawn = draw_each([result for result in results if result.path in paths], draw)
    return max(status, undrawn)


def main():
    parser = Parser(description=__doc__.split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("files", metavar="FILE", nargs="*",
                        help="result files; without any, the newest one of every experiment")
    parser.add_argument("--format", choices=("png", "svg"), default="png")
    parser.add_argument("--out", metavar="DIR", default=os.path.join(RESULTS, "charts"),
                        help="where the charts go (default results/charts)")
    options = parser.parse_args()

    results, unread = read_all(options.files or newest())
    found, undrawn = drawable(results)
    failed = draw_all(found, options.format, options.out) if found else 0
    worst = {unread, undrawn, failed}
    return 2 if 2 in worst else 77 if 77 in worst and not found else 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly; pictures are written in one go
    end_with(main)
