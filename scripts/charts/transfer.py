# SPDX-License-Identifier: MIT
"""What arrives a second by each way and message size, and what CPU time a byte of it takes."""
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator

from language import MESSAGE, say, translated

from . import style

WAYS = {"udp": ("UDP", style.RED, "s"), "tcp": ("TCP", style.BLUE, "o"),
        "nodelay": ("TCP_NODELAY", style.SKY, "^"), "fresh": (MESSAGE("TCP, a connection each"), style.GREY, "v")}
PER_S = ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"))
PANELS = (("arrived_bytes", "elapsed_ns", 1e9, MESSAGE("arrived a second"), lambda n: style.scaled(n, PER_S)),
          ("cpu_ns", "arrived_bytes", 1, MESSAGE("CPU time of both sides a byte"), style.time_of))
TITLES = {"refuted": MESSAGE("UDP brings fewer bytes a second than a TCP connection"),
          "depends": MESSAGE("Whether UDP brings more bytes a second than TCP depends on the size of a message"),
          "holds": MESSAGE("UDP brings more bytes a second than a TCP connection")}


def label_of(size, samples):
    lost = sum(s["lost"] for s in samples) / max(1, sum(s["sent"] for s in samples))
    variant = samples[0]["variant"]
    label = MESSAGE("{size:,} bytes, {way}, {lost:.0f} % lost") if variant == "udp" else MESSAGE("{size:,} bytes, {way}")
    return say(label, size=size, way=translated(WAYS[variant][0]), lost=100 * lost)


def draw_panel(axes, panel, groups):
    field, of, scale, title, words = panel
    axes.set_title(translated(title))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: words(n)))
    axes.tick_params(axis="x", labelsize=style.CAPTION)
    axes.minorticks_off()
    for at, (_, samples) in enumerate(groups):
        values = np.array([s[field] * scale / s[of] for s in samples if s[field] and s[of]])
        if len(values):
            style.dots(axes, values, at, *WAYS[samples[0]["variant"]][1:])
            style.median_bar(axes, values, at)
            style.beside(axes, at, words(np.median(values)))


def draw(result):
    sizes = sorted({sample["size_bytes"] for sample in result.samples})
    groups = [(size, [s for s in samples if s["size_bytes"] == size])
              for size in sizes for samples in style.of_variants(result.samples, *WAYS).values()]
    title = TITLES.get(result.verdict("udp-transfer-faster"), MESSAGE("Messages by UDP and by TCP"))
    page = style.Page(result, translated(title), translated(
        "Messages of one size from one thread to another, on loopback, as fast as they go. A dot is a trial, a bar the "
        "median."))
    grid = page.grid(1, len(PANELS), left=0.29, right=0.91, above=0.06, below=0.05, wspace=0.36)
    for column, panel in enumerate(PANELS):
        axes = page.fig.add_subplot(grid[column])
        style.rows_of(axes, [label_of(size, samples) if column == 0 else "" for size, samples in groups])
        draw_panel(axes, panel, groups)
        for at in range(1, len(sizes)):
            axes.axhline(at * len(groups) / len(sizes) - 0.5, color=style.GREY, linewidth=0.8)
    return page.fig
