# SPDX-License-Identifier: MIT
"""How many descriptors a process may open, what fails at the limit, and a server that is there."""
import errno

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator

from . import style

COUNTS = {"found": "limit as found", "at-1024": "soft limit of 1,024",
          "raised": "soft limit raised\nto the hard one"}
SERVERS = {"level": "level-triggered", "edge": "edge-triggered",
           "spare": "level, with a\nspare descriptor"}
LOOK = {"level": (style.RED, "s"), "edge": (style.BLUE, "o"), "spare": (style.GREEN, "^")}


def title_of(variants):
    words = []
    if "found" in variants:
        many = np.median(style.column(variants["found"], "open_fds"))
        words.append(f"This process may open {many:,.0f} descriptors")
    if "level" in variants:
        ms = np.median(style.column(variants["level"], "elapsed_ns"))
        wakeups = np.median(style.column(variants["level"], "wakeups"))
        words.append(f"at its limit a server wakes up {wakeups:,.0f} times in "
                     f"{style.time_of(ms)} for one client that it cannot accept")
    title = "; ".join(words) or "What happens at the limit of descriptors"
    return title[0].upper() + title[1:]


def name_of(word, number):
    return "EMFILE" if number == errno.EMFILE else word


def draw_counts(axes, variants):
    rows = {name: variants[name] for name in COUNTS if name in variants}
    style.rows_of(axes, [COUNTS[name] for name in rows])
    for at, samples in enumerate(rows.values()):
        many = np.median(style.column(samples, "open_fds"))
        error = name_of(samples[0]["error"], samples[0]["errno"])
        axes.barh(at, many, height=0.55, color=style.SKY)
        style.beside(axes, at, f"{many:,.0f}, then\n{error}" if error != "ok"
                     else f"{many:,.0f}\nand more")
    axes.axvline(1024, color=style.BLACK, linewidth=1.2, linestyle=(0, (3, 2)))
    axes.annotate("FD_SETSIZE\nof select: 1,024", (1024, -0.5), (-3, 3),
                  textcoords="offset points", size=style.CAPTION, ha="right", va="bottom")
    axes.set_xscale("log")
    axes.set_xlim(64, None)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
    axes.minorticks_off()
    axes.set_xlabel("descriptors open at once (log)")


def draw_servers(axes, variants):
    rows = {name: variants[name] for name in SERVERS if name in variants}
    style.rows_of(axes, [SERVERS[name] for name in rows])
    for at, (name, samples) in enumerate(rows.items()):
        wakeups = style.column(samples, "wakeups")
        cpu = style.column(samples, "cpu_ns").sum() / style.column(samples, "elapsed_ns").sum()
        style.dots(axes, np.maximum(wakeups, 0.5), at, *LOOK[name])
        style.median_bar(axes, np.maximum(wakeups, 0.5), at)
        style.beside(axes, at, f"{np.median(wakeups):,.0f}, {100 * cpu:.0f} % CPU\n"
                     f"client: {fate_of(samples)}")
    axes.set_xscale("log")
    axes.set_xlim(0.5, None)
    axes.xaxis.set_major_locator(LogLocator(numticks=4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
    axes.minorticks_off()
    axes.set_xlabel("wake-ups while one client waits (log)")


def fate_of(samples):
    """What became of the client, in a word or two."""
    if np.median(style.column(samples, "turned_away")) > 0:
        return "turned away"
    served = np.median(style.column(samples, "after_wakeups")) > 0
    return "served later" if served else "forgotten"


def draw_calls(axes, samples):
    calls = {sample["call"]: sample for sample in samples}
    axes.set_xlim(0, 1)
    axes.set_ylim(len(calls) - 0.3, -1.2)
    axes.axis("off")
    for x, words in ((0, "call"), (0.45, "at the limit"), (0.74, "after a close")):
        axes.text(x, -0.8, words, color=style.GREY)
    for at, (call, sample) in enumerate(calls.items()):
        axes.text(0, at, call)
        for x, field in ((0.45, "full"), (0.74, "after")):
            word = name_of(sample[field], sample[field + "_errno"])
            full = word == "EMFILE"
            axes.text(x, at, word, color=style.RED if full else style.GREEN,
                      weight="bold" if full else "normal")


def draw(result):
    variants = style.of_variants(result.samples, *COUNTS, *SERVERS)
    page = style.Page(
        result, title_of(variants),
        "Left, above: opened until one was refused. Below: a full server's epoll loop, a dot a "
        "trial. Right: each call when no descriptor is left, and again when one was closed.")
    grid = page.grid(2, 2, left=0.15, wspace=0.62, hspace=0.55, above=0.1,
                     width_ratios=(1, 1.05), height_ratios=(1, 1.1))
    if any(name in variants for name in COUNTS):
        draw_counts(page.fig.add_subplot(grid[0, 0]), variants)
    if any(name in variants for name in SERVERS):
        draw_servers(page.fig.add_subplot(grid[1, 0]), variants)
    if "full" in variants:
        draw_calls(page.fig.add_subplot(grid[:, 1]), variants["full"])
    return page.fig
