# SPDX-License-Identifier: MIT
"""Buffer sizes: asked for against granted, and how TCP's grow while nobody asks for one."""
import numpy as np

from . import style

KINDS = (("tcp", "sndbuf", "TCP, SO_SNDBUF", style.BLUE, "^"),
         ("tcp", "rcvbuf", "TCP, SO_RCVBUF", style.GREEN, "v"),
         ("udp", "sndbuf", "UDP, SO_SNDBUF", style.SKY, "."),
         ("pipe", "sndbuf", "pipe, F_SETPIPE_SZ", style.ORANGE, "s"))
GROWTH = (("grow", "sndbuf_bytes", "default SO_SNDBUF", style.BLUE, "-"),
          ("grow", "rcvbuf_bytes", "default SO_RCVBUF", style.GREEN, "-"),
          ("fixed", "sndbuf_bytes", "both, 64 KiB asked for", style.GREY, "--"))


def octaves(axis, low, high, step):
    ticks = [2 ** n for n in range(0, 34, step) if low <= 2 ** n <= high]
    axis.set_ticks(ticks, [style.bytes_of(tick).replace(" bytes", " B") for tick in ticks])


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
    octaves(axes.xaxis, 1, 2 ** 31, 6)
    octaves(axes.yaxis, 2 ** 9, 2 ** 32, 4)
    axes.set_xlabel("asked for")
    axes.set_ylabel("granted")
    axes.legend(loc="upper left", frameon=False, fontsize=style.CAPTION + 0.5)
    axes.set_title("A size asked for: doubled, within limits")


def draw_growth(axes, rows, transfer_ms):
    """The first trial of each variant; later ones are alike."""
    top = 0
    for variant, field, label, colour, line in GROWTH:
        here = [r for r in rows if r["variant"] == variant and r["trial"] == 0]
        if not here:
            continue
        at, size = style.column(here, "at_ns") / 1e6, style.column(here, field)
        axes.plot(at, size, color=colour, linewidth=2, linestyle=line, drawstyle="steps-post",
                  label=label)
        top = max(top, size.max())
    axes.set_yscale("log", base=2)
    low, _ = axes.get_ylim()
    low, high = min(low, 2 ** 15), top * 8
    axes.set_ylim(low, high)
    octaves(axes.yaxis, low, high, 2)
    axes.set_xlim(0, transfer_ms * 1.02)
    axes.set_xlabel("time since the connection began (ms)")
    axes.legend(loc="upper left", frameon=False, fontsize=style.CAPTION + 0.5)
    axes.set_title("TCP's own sizes, during a transfer")


def title_of(samples):
    most = max((s["granted_sndbuf_bytes"] for s in samples
                if s.get("variant") == "tcp" and s.get("asked_bytes", 0) > 2 ** 30), default=0)
    grown = style.column([s for s in samples if s["variant"] == "grow"], "end_rcvbuf_bytes")
    told = []
    if most:
        told.append(f"However much is asked for, {style.bytes_of(most)} is granted")
    if len(grown):
        told.append(f"{'w' if told else 'W'}ithout asking, TCP's receive buffer grew to "
                    f"{style.bytes_of(np.median(grown))}")
    return "; ".join(told) or "Buffer sizes: asked for, and granted"


def draw(result):
    asking = [s for s in result.samples if "forced_sndbuf_bytes" in s]
    rows = result.kinds.get("size", [])
    if not asking and not rows:
        raise ValueError("no sizes were asked for and nothing was transferred")
    page = style.Page(result, title_of(result.samples),
                      "Left: a fresh socket or pipe for each size. Right: the sizes are read "
                      "every millisecond. Both axes of sizes are logarithmic.")
    grid = page.grid(1, 2, left=0.105, wspace=0.24)
    if asking:
        draw_granted(page.fig.add_subplot(grid[0]), asking)
    if rows:
        draw_growth(page.fig.add_subplot(grid[1]), rows, result.run["params"]["transfer_ms"])
    return page.fig
