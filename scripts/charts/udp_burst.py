# SPDX-License-Identifier: MIT
"""How many datagrams of a burst survive, as measured and as one datagram predicted."""
from matplotlib.ticker import FuncFormatter

from language import say, translated
from . import style

SHOWN = (1, 512, 1472, 4096, 16384, 65507)  # of the sizes of a datagram: others lie between


def draw_bursts(axes, bursts):
    """A line as predicted and a dot as measured, for each size of a datagram."""
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    sizes = sorted({s["datagram_bytes"] for s in bursts})
    shown = [size for size in sizes if size in SHOWN] or sizes
    right = max(s["granted_bytes"] for s in bursts)
    for place, size in enumerate(shown):
        colour, marker = style.CYCLE[place % len(style.CYCLE)]
        samples = sorted((s for s in bursts if s["datagram_bytes"] == size),
                         key=lambda s: s["granted_bytes"])
        granted = style.column(samples, "granted_bytes")
        axes.plot(granted, style.column(samples, "predicted_datagrams"), color=colour,
                  linewidth=1.2, alpha=0.6)
        survivors = style.column(samples, "survivors_datagrams")
        axes.plot(granted, survivors, marker, color=colour, markersize=6, alpha=0.7,
                  markeredgewidth=0, linestyle="none")
        axes.annotate(f"{size:,} B", (right, survivors[-1]), (9, 0), va="center", color=colour,
                      textcoords="offset points", annotation_clip=False)
    grants = sorted({s["granted_bytes"] for s in bursts})
    axes.set_xticks(grants[::2], [style.bytes_of(n) for n in grants[::2]])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel(translated("receive buffer, as granted"))
    axes.set_ylabel(translated("datagrams that survive"))
    axes.text(0.03, 0.95, translated("dot: measured\nline: buffer / charge of one"), va="top",
              transform=axes.transAxes, color=style.GREY)


def draw(result):
    told = [s["survivors_datagrams"] == s["predicted_datagrams"] for s in result.samples]
    page = style.Page(result, say("Of a burst that nobody reads as many datagrams survive as one of them predicts: in "
                                  "{exact} of {bursts} bursts to the datagram", exact=sum(told), bursts=len(told)))
    draw_bursts(page.fig.add_subplot(page.grid(1, 1, left=0.09, right=0.89)[0]), result.samples)
    return page.fig
