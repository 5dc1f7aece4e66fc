# SPDX-License-Identifier: MIT
"""Buffer sizes: asked for against granted."""
import numpy as np

from . import style

KINDS = (("tcp", "sndbuf", "TCP, SO_SNDBUF", style.BLUE, "^"),
         ("tcp", "rcvbuf", "TCP, SO_RCVBUF", style.GREEN, "v"),
         ("udp", "sndbuf", "UDP, SO_SNDBUF", style.SKY, "."),
         ("pipe", "sndbuf", "pipe, F_SETPIPE_SZ", style.ORANGE, "s"))


def draw_granted(axes, samples):
    """The sizes that were granted, of each kind; those that were not leave no mark."""
    tops = []
    for kind, side, label, colour, marker in KINDS:
        here = [s for s in samples if s["variant"] == kind and s["asked_bytes"]
                and s[f"granted_{side}_bytes"]]
        pairs = sorted({(s["asked_bytes"], s[f"granted_{side}_bytes"]) for s in here})
        if pairs:
            axes.plot(*zip(*pairs), color=colour, marker=marker, markersize=7, linewidth=1.5,
                      label=label, alpha=0.8)
            tops.append(pairs[-1][1])
    asked = np.array([1, 2 ** 31])
    axes.plot(asked, asked, color=style.GREY, linewidth=1, linestyle="--", label="as asked for")
    forced = max((s.get("forced_sndbuf_bytes", 0) for s in samples), default=0)
    if forced:
        axes.plot([2 ** 31], [forced], "*", color=style.RED, markersize=13, linestyle="none",
                  label="SO_SNDBUFFORCE, by root")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlim(0.6, 2 ** 32)
    axes.set_ylim(2 ** 9, 2 ** 32)
    style.octaves(axes.xaxis, 1, 2 ** 31, 6)
    style.octaves(axes.yaxis, 2 ** 9, 2 ** 32, 4)
    axes.set_xlabel("asked for")
    axes.set_ylabel("granted")
    axes.legend(loc="upper left", frameon=False, fontsize=style.CAPTION + 0.5)


def draw(result):
    most = max((s["granted_sndbuf_bytes"] for s in result.samples
                if s["variant"] == "tcp" and s["asked_bytes"] > 2 ** 30), default=0)
    page = style.Page(result, f"However much is asked for, {style.bytes_of(most)} at most is granted"
                      if most else "Buffer sizes: asked for, and granted",
                      "A fresh socket or pipe for each size; no mark: refused.")
    draw_granted(page.fig.add_subplot(page.grid(1, 1, left=0.105)[0]), result.samples)
    return page.fig
