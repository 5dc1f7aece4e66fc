# SPDX-License-Identifier: MIT
"""How TCP's buffer sizes grow during a transfer, while nobody asks for one."""
import numpy as np

from language import MESSAGE, say, translated
from . import style

GROWTH = (("grow", "sndbuf_bytes", MESSAGE("default SO_SNDBUF"), style.BLUE, "-"),
          ("grow", "rcvbuf_bytes", MESSAGE("default SO_RCVBUF"), style.GREEN, "-"),
          ("fixed", "sndbuf_bytes", MESSAGE("both, 64 KiB asked for"), style.GREY, "--"))


def typical(samples):
    """The trial whose receive buffer grew to the median, of an even number to the lower one."""
    return sorted(samples, key=lambda s: s["end_rcvbuf_bytes"])[(len(samples) - 1) // 2]["trial"]


def draw_growth(axes, result, transfer_ms):
    """The typical trial of each variant."""
    top = 0
    variants = style.of_variants(result.samples)
    for variant, field, label, colour, line in GROWTH:
        here = [r for r in result.kinds["size"] if r["variant"] == variant
                and r["trial"] == typical(variants[variant])] if variant in variants else []
        if not here:
            continue
        at, size = style.column(here, "at_ns") / 1e6, style.column(here, field)
        axes.plot(at, size, color=colour, linewidth=2, linestyle=line, drawstyle="steps-post",
                  label=translated(label))
        top = max(top, size.max())
    axes.set_yscale("log", base=2)
    low, _ = axes.get_ylim()
    low, high = min(low, 2 ** 15), top * 8
    axes.set_ylim(low, high)
    style.octaves(axes.yaxis, low, high, 2)
    axes.set_xlim(0, transfer_ms * 1.02)
    axes.set_xlabel(translated("time since the connection began (ms)"))
    axes.legend(loc="upper left", frameon=False, fontsize=style.CAPTION + 0.5)


def draw(result):
    grown = style.column([s for s in result.samples if s["variant"] == "grow"], "end_rcvbuf_bytes")
    page = style.Page(result, say("Without asking, TCP's receive buffer grew to {size}",
                                  size=style.bytes_of(np.median(grown))) if len(grown)
                      else translated("Buffer sizes that were asked for stay"),
                      translated("The sizes are read every millisecond."))
    draw_growth(page.fig.add_subplot(page.grid(1, 1, left=0.1)[0]), result,
                result.run["params"]["transfer_ms"])
    return page.fig
