# SPDX-License-Identifier: MIT
"""The atlas: what buffers of every size held, and how well that was told beforehand."""
import numpy as np

from language import MESSAGE, say, translated
from sentence import value
from . import style

NAMES = {"udp": "UDP", "unix-stream": MESSAGE("AF_UNIX stream"), "unix-dgram": MESSAGE("AF_UNIX datagrams"),
         "unix-bound": MESSAGE("AF_UNIX, bound socket"), "pipe": MESSAGE("pipe")}


def title_of(samples):
    charged = [s for s in samples if s["variant"] != "pipe"]
    if not charged:
        return translated("What a pipe holds")
    exact = np.mean([s["held_bytes"] == s["predicted_bytes"] for s in charged])
    return say("What a buffer will hold can be told beforehand: UDP and AF_UNIX exactly in {share} %",
               share=style.figures(exact * 100))


def draw_held(axes, kinds):
    """A line as predicted and a mark as held, for each kind."""
    for at, (kind, samples) in enumerate(kinds.items()):
        colour, marker = style.CYCLE[at % len(style.CYCLE)]
        cells = sorted({(s["capacity_bytes"], s["predicted_bytes"]) for s in samples})
        axes.plot(*zip(*cells), color=colour, linewidth=1.2, alpha=0.6)
        axes.plot(style.column(samples, "capacity_bytes"), style.column(samples, "held_bytes"),
                  marker, color=colour, markersize=6, alpha=0.7, markeredgewidth=0,
                  label=translated(NAMES.get(kind, kind)))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlabel(translated("granted"))


def draw(result):
    kinds = style.of_variants(result.samples, *NAMES)
    writes = sorted({s["write_bytes"] for s in result.samples})
    page = style.Page(result, title_of(result.samples),
                      translated("By the size of a message. Mark: held; line: predicted; "
                                 "dashed: as many bytes as were granted."))
    grid = page.grid(1, len(writes), left=0.1, above=0.1, wspace=0.1)
    granted = style.column(result.samples, "capacity_bytes")
    held = style.column(result.samples, "held_bytes")
    for place, write in enumerate(writes):
        axes = page.fig.add_subplot(grid[place])
        axes.set_title(value("write_bytes", write, translated))
        draw_held(axes, {kind: [s for s in samples if s["write_bytes"] == write]
                         for kind, samples in kinds.items()})
        ends = [granted.min(), granted.max()]
        axes.plot(ends, ends, color=style.GREY, linewidth=1, linestyle="--")
        axes.set_ylim(held.min() / 2, held.max() * 2)
        style.octaves(axes.xaxis, *ends, 3)
        style.octaves(axes.yaxis, held.min() / 2, held.max() * 2, 3)
        axes.tick_params(labelleft=place == 0)
        if place == 0:
            axes.set_ylabel(translated("held"))
    page.fig.legend(*axes.get_legend_handles_labels(), loc="upper left", ncol=5, frameon=False,
                    handletextpad=0.1, columnspacing=1.4, borderaxespad=0,
                    bbox_to_anchor=(0.09, page.top - 0.008))
    return page.fig
