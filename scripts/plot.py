#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draw result files: pictures of each experiment, of its newest result unless files are named.

Charts are functions of the rows alone: drawn again from the same file they are the same bytes.
How an experiment is drawn is said in charts/NAME.py; one that has none gets charts/default.py.
"""
import contextlib
import functools
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
from matplotlib import font_manager, ft2font  # noqa: E402

import language  # noqa: E402
import rows  # noqa: E402
from charts import style  # noqa: E402
from results import WORDS, newest, read_all  # noqa: E402

SCRIPTS = os.path.dirname(os.path.abspath(__file__))
SEVERAL = hasattr(font_manager.FontManager, "_find_fonts_by_props")  # whether a text can have them: matplotlib 3.6
SANS = ("NotoSansCJK", "NotoSansKR", "NanumGothic", "NanumBarunGothic")  # whose files are looked at first


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


def preference(path):
    name = os.path.basename(path)
    return next((at for at, sans in enumerate(SANS) if name.startswith(sans)), len(SANS)), len(name), name


def lacks(path, letters):
    """Whether the font in a file lacks one of them."""
    try:
        font = ft2font.FT2Font(path)
    except RuntimeError:  # no font, or a damaged one
        return True
    return not all(map(font.get_char_index, map(ord, letters)))


@functools.cache
def fonts(code):
    """The charts' fonts in the chosen language: if the usual one lacks its letters, one that has them, too, or none."""
    usual = style.LOOK["font.family"]
    letters = set("".join(map(language.translated, WORDS.values())))
    if not lacks(font_manager.findfont(usual), letters):
        return [usual]
    files = sorted(font_manager.findSystemFonts(), key=preference)
    found = next((path for path in files if not lacks(path, letters)), None)
    if not found:
        hint = " (Debian: fonts-nanum)" if code == "ko" else ""
        complain(f"no font here has the letters of '{code}'{hint}: charts are in English")
        return []
    name = ft2font.FT2Font(found).family_name
    for path in files:  # matplotlib's own list of fonts may be older than the font
        if (os.path.dirname(path) == os.path.dirname(found) and not lacks(path, letters)
                and ft2font.FT2Font(path).family_name == name):
            font_manager.fontManager.addfont(path)
    return [usual, name] if SEVERAL else [name]


def figures(result):
    """The figures by what is added to the chart's name."""
    families = fonts(language.code)
    with contextlib.nullcontext() if families else language.english():
        return drawn(result, families)


def drawn(result, families):
    matplotlib.rcdefaults()  # the user's own style would change the picture
    matplotlib.rcParams.update({**style.LOOK, "font.family": families or style.LOOK["font.family"]})
    warnings.filterwarnings("ignore", "Glyph")  # of a character that no font has: it shows as a box
    numpy.seterr(over="ignore")  # by a damaged number; what it leaves to draw is drawn
    found = chart_of(result).draw(result)
    return found if isinstance(found, dict) else {"": found}


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
    language.add_option(parser)
    options = parser.parse_args()
    language.choose(options.lang)

    results, unread = read_all(options.files or newest())
    found, undrawn = drawable(results)
    failed = draw_all(found, options.format, options.out) if found else 0
    worst = {unread, undrawn, failed}
    return 2 if 2 in worst else 77 if 77 in worst and not found else 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly; pictures are written in one go
    end_with(main)
