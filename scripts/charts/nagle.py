# SPDX-License-Identifier: MIT
"""Nagle and delayed acknowledgements: how long each exchange takes, however it is written."""
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator

from language import MESSAGE, say, translated

from . import style

IS = {
    "plain": MESSAGE("write, write, read"),
    "nodelay": MESSAGE("TCP_NODELAY at the writer"),
    "quickack": MESSAGE("TCP_QUICKACK at the reader"),
    "writev": MESSAGE("both parts in one writev"),
    "cork": MESSAGE("TCP_CORK around them"),
    "more": MESSAGE("MSG_MORE at the first one"),
    "write-read": MESSAGE("write, read, write, read"),
}
LOOK = {"plain": (style.RED, "s"), "write-read": (style.GREY, "D")}


def title_of(latency, ack):
    plain = latency.get("plain")
    if plain is None or not ack:
        return translated("A request in two small writes, and its answer")
    share = np.mean(plain >= ack / 2)
    cures = [np.median(ns) for name, ns in latency.items()
             if name in list(IS)[1:6] and np.median(ns) < ack / 2]
    if share < 0.5:
        return translated("Two small writes in a row did not stall here")
    time = style.time_of(np.median(plain))
    if not cures:
        return say("Write, write, read takes {time}", time=time)
    return say("Write, write, read takes {time}, any of {cures} cures {low} to {high}", time=time, cures=len(cures),
               low=style.time_of(min(cures)), high=style.time_of(max(cures)))


def scale(axes, latency, ack):
    axes.set_xscale("log")
    low = min(ns.min() for ns in latency.values()) / 1e6
    high = max(max(ns.max() for ns in latency.values()), ack) / 1e6
    axes.set_xlim(low / 1.5, high * 2)
    axes.xaxis.set_major_locator(LogLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ms, _: style.time_of(ms * 1e6)))
    axes.minorticks_off()
    axes.set_xlabel(translated("from the first write until the answer is read (log)"))


def draw(result):
    samples = [s for s in result.samples if "latency_ns" in s]
    acks = style.column(result.samples, "ack_ns")
    ack = float(np.median(acks)) if len(acks) else 0
    variants = style.of_variants(samples, *IS)
    latency = {name: style.column(rows, "latency_ns") for name, rows in variants.items()}
    part = style.bytes_of(result.run["params"]["part_bytes"])
    page = style.Page(
        result, title_of(latency, ack),
        say("A request of two parts of {part}, answered when both are there. The second one waits until the first one "
            "is acknowledged (Nagle), and the reader delays that until it has something to send. A dot is an exchange, "
            "a bar the median.", part=part))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.25, right=0.8, above=0.085)[0])
    if latency:
        style.rows_of(axes, [translated(IS.get(name, name)) for name in variants])
        scale(axes, latency, ack)
    for at, (name, ns) in enumerate(latency.items()):
        style.dots(axes, ns / 1e6, at, *LOOK.get(name, (style.BLUE, "o")))
        style.median_bar(axes, ns / 1e6, at)
        style.beside(axes, at, ", ".join(style.time_of(np.quantile(ns, q)) for q in (0.5, 0.99)))
    if latency:
        axes.text(1.015, -0.62, "p50, p99", weight="bold", va="bottom",
                  transform=axes.get_yaxis_transform())
    if ack:
        axes.axvline(ack / 1e6, color=style.BLACK, linestyle="--", linewidth=1.2, zorder=1)
        axes.annotate(say("the reader's delayed ACK, measured: {time}", time=style.time_of(ack)),
                      (ack / 1e6, 1), (4, 4), xycoords=axes.get_xaxis_transform(),
                      textcoords="offset points", ha="right")
    return page.fig
