# SPDX-License-Identifier: MIT
"""How many messages come out whole: a row for each reader, a column for each way to cut."""
import numpy as np

from . import style

READERS = {"naive": "each recv is\na message", "length": "length in front",
           "newline": "newline\nat the end"}
CUTS = {"uncut": "one message a send,\none at a time", "random": "cut anywhere",
        "bytes": "cut after\nevery byte", "inside": "cut two bytes\ninto each message"}


def share(samples, cut):
    cut_so = [sample for sample in samples if sample["cut"] == cut]
    return 100 * sum(s["whole"] for s in cut_so) / sum(s["messages"] for s in cut_so)


def title_of(readers):
    told = []
    if "naive" in readers:
        broken = sum(s["broken"] for s in readers["naive"] if s["cut"] != "uncut")
        told.append("A recv is no message" if broken else "Nothing was cut inside a message")
    framed = [s for name in ("length", "newline") for s in readers.get(name, [])]
    if framed:
        broken = sum(sample["broken"] for sample in framed)
        told.append(f"of {sum(s['messages'] for s in framed):,} with a length in front or a "
                    f"newline at the end {broken or 'none'} broke")
    title = ": ".join(told)
    return title[0].upper() + title[1:]


def draw(result):
    readers = style.of_variants(result.samples, *READERS)
    page = style.Page(result, title_of(readers),
                      "Messages over TCP that come out whole, by how the reader tells where one "
                      "ends (%).")
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.15, above=0.03, below=0.07)[0])
    style.rows_of(axes, [READERS.get(name, name) for name in readers])
    for row, samples in enumerate(readers.values()):
        for at, cut in enumerate(CUTS):
            whole = share(samples, cut)
            axes.barh(row, 0.94, 0.8, left=at + 0.03, alpha=0.9,
                      color=style.GREEN if whole >= 100 else style.RED)
            axes.text(at + 0.5, row, style.figures(whole), ha="center", va="center",
                      color="white", weight="bold", size=style.TITLE)
    axes.grid(False)
    axes.set_xlim(0, len(CUTS))
    axes.set_xticks(np.arange(len(CUTS)) + 0.5, CUTS.values())
    axes.tick_params(axis="x", length=0)
    axes.spines["bottom"].set_visible(False)
    return page.fig
