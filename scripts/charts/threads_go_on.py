# SPDX-License-Identifier: MIT
"""Whom a blocking call stops: other threads count on, an event loop's clients wait."""
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator

from . import style

CALLS = {"nobody": "nobody else", "spins": "a thread that spins", "recv": "recv",
         "accept": "accept", "sleep": "clock_nanosleep", "futex": "a futex wait"}
LOOPS = {"loop-prompt": ("nothing to wait for", style.BLUE, "o"),
         "loop-blocks": ("the loop waits in\nrecv (trap)", style.RED, "s"),
         "loop-thread": ("a thread waits", style.GREEN, "^"),
         "loop-event": ("the loop waits\nby epoll", style.ORANGE, "D")}

MOST = 2  # times that are drawn: what is more was another program's noise


def ratios(samples):
    """How far the others got, times as far as in the window without that thread next to it."""
    speed, alone = (style.column(samples, f"{which}counts")
                    / style.column(samples, f"{which}elapsed_ns") for which in ("", "alone_"))
    return speed[alone > 0] / alone[alone > 0]


def aside(axes, at, text):
    axes.text(1.015, at, text, va="center", size=style.CAPTION + 0.5, linespacing=1.05,
              transform=axes.get_yaxis_transform())


def draw_threads(axes, shown):
    style.rows_of(axes, [CALLS[name] for name in shown])
    axes.axvline(1, color=style.GREY, linestyle=":")
    for at, (name, samples) in enumerate(shown.items()):
        times = ratios(samples)
        if not times.size:
            continue
        colour = style.RED if name == "spins" else style.BLUE
        style.dots(axes, np.minimum(times, MOST), at, colour, "s" if name == "spins" else "o")
        style.median_bar(axes, np.minimum(times, MOST), at)
        if name == "nobody":
            aside(axes, at, f"{np.median(times):.2f} times")
            continue
        looks, asleep = (style.column(samples, field).sum() for field in ("looks", "asleep_looks"))
        had = np.median(style.column(samples, "blocked_cpu_ns"))
        aside(axes, at, f"{np.median(times):.2f} times; {style.time_of(had)} of CPU\n"
              f"asleep in {asleep} of {looks} looks")
    axes.set_xlim(0, MOST * 1.02)
    axes.set_title("Threads that count on every CPU, while one thread more is in ...")
    axes.set_xlabel("how far they get, times as far as without it just before or after "
                    f"(at most {MOST})")


def draw_loops(axes, shown, rows, block_ms):
    for name in shown:
        words, colour, marker = LOOPS[name]
        mine = sorted((row["due_ns"], row["latency_ns"]) for row in rows if row["variant"] == name)
        if mine:
            at, latency = np.array(mine, dtype=float).T
            axes.plot(at / 1e6, latency, marker, color=colour, markersize=4.5, alpha=0.8,
                      markeredgewidth=0, linestyle="none", label=words)
    asked = next(iter(shown.values()))[0]["slow_due_ns"] / 1e6
    axes.axvspan(asked, asked + block_ms, color=style.PALE, alpha=0.5, zorder=0)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=20))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ns, _: style.time_of(ns)))
    axes.minorticks_off()
    axes.set_title("Two clients of an event loop; grey: a third one's request waits for something")
    axes.set_xlabel("when their request was due (ms)")
    axes.set_ylabel("until answered")
    axes.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), frameon=False,
                handletextpad=0.1, borderpad=0)


def title_of(threads, loops):
    told = []
    blocked = [name for name in threads if name not in ("nobody", "spins")]
    if blocked:
        times = np.concatenate([ratios(threads[name]) for name in blocked])
        if times.size:
            told.append(f"With a thread blocked, others get {np.median(times):.2f} times as far")
    if "loop-blocks" in loops:
        worst = np.median(style.column(loops["loop-blocks"], "worst_ns"))
        told.append(f"in a one-thread loop a blocking call makes them wait {style.time_of(worst)}")
    return "; ".join(told) or "Whom does a blocking call stop?"


def draw(result):
    samples = style.of_variants(result.samples, *CALLS, *LOOPS)
    threads = {name: samples[name] for name in CALLS if name in samples}
    loops = {name: samples[name] for name in LOOPS if name in samples}
    page = style.Page(result, title_of(threads, loops),
                      "Above: a dot is a pair of windows, a bar the median. Below: the first "
                      "trial, a dot is a request.")
    grid = page.grid(bool(threads) + bool(loops), 1, left=0.155, right=0.785, above=0.07,
                     hspace=0.5, height_ratios=[1.35, 1] if threads and loops else [1])
    if threads:
        draw_threads(page.fig.add_subplot(grid[0]), threads)
    if loops:
        draw_loops(page.fig.add_subplot(grid[-1]), loops, result.kinds.get("request", []),
                   result.run["params"]["block_ms"])
    return page.fig
