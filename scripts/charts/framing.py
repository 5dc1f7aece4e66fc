# SPDX-License-Identifier: MIT
"""How many messages come out whole: a row for each reader, a column for each way to cut."""
import numpy as np

from language import MESSAGE, say, translated

from . import style

READERS = {"naive": MESSAGE("each recv is\na message"), "length": MESSAGE("length in front"),
           "newline": MESSAGE("newline\nat the end")}
CUTS = {"uncut": MESSAGE("one message a send,\none at a time"), "random": MESSAGE("cut anywhere"),
        "bytes": MESSAGE("cut after\nevery byte"), "inside": MESSAGE("cut two bytes\ninto each message")}


def share(samples, cut):
    cut_so = [sample for sample in samples if sample["cut"] == cut]
    return 100 * sum(s["whole"] for s in cut_so) / sum(s["messages"] for s in cut_so)


def title_of(readers):
    told = []
    if "naive" in readers:
        broken = sum(s["broken"] for s in readers["naive"] if s["cut"] != "uncut")
        told.append(translated("A recv is no message") if broken else translated("Nothing was cut inside a message"))
    framed = [s for name in ("length", "newline") for s in readers.get(name, [])]
    if framed:
        broken = sum(sample["broken"] for sample in framed)
        words = (MESSAGE("of {messages:,} with a length in front or a newline at the end {broken} broke") if broken else
                 MESSAGE("of {messages:,} with a length in front or a newline at the end none broke"))
        told.append(say(words, messages=sum(s["messages"] for s in framed), broken=broken))
    title = ": ".join(told)
    return title[0].upper() + title[1:]


def draw(result):
    readers = style.of_variants(result.samples, *READERS)
    page = style.Page(result, title_of(readers),
                      translated("Messages over TCP that come out whole, by how the reader tells where one ends (%)."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.15, above=0.03, below=0.07)[0])
    style.rows_of(axes, [translated(READERS.get(name, name)) for name in readers])
    for row, samples in enumerate(readers.values()):
        for at, cut in enumerate(CUTS):
            whole = share(samples, cut)
            axes.barh(row, 0.94, 0.8, left=at + 0.03, alpha=0.9,
                      color=style.GREEN if whole >= 100 else style.RED)
            axes.text(at + 0.5, row, style.figures(whole), ha="center", va="center",
                      color="white", weight="bold", size=style.TITLE)
    axes.grid(False)
    axes.set_xlim(0, len(CUTS))
    axes.set_xticks(np.arange(len(CUTS)) + 0.5, map(translated, CUTS.values()))
    axes.tick_params(axis="x", length=0)
    axes.spines["bottom"].set_visible(False)
    return page.fig
