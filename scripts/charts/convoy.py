# SPDX-License-Identifier: MIT
"""Replies beside CPU-bound threads: every paced request's latency, and the switch interval."""
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator

from language import MESSAGE, say, translated
from . import style

LOOK = ((style.BLUE, "o"), (style.GREEN, "^"), (style.ORANGE, "D"), (style.PINK, "v"),
        (style.SKY, "P"))
MODEL = (style.RED, "s")
HOGS = {0: MESSAGE("alone"), 1: MESSAGE("beside 1 hog"), 2: MESSAGE("beside 2 hogs")}
MS = 1e6


def subject_of(sample):
    """"3.13.0" or "model"."""
    return sample["variant"].split("-")[0]


def cells_of(samples):
    """Latencies in ms of paced requests, by subject, hogs and interval in ms."""
    cells = {}
    for sample in samples:
        if "paced_ns" in sample:
            key = subject_of(sample), sample["hogs"], sample["interval_us"] / 1e3
            cells.setdefault(key, []).append(sample["paced_ns"] / MS)
    return {key: np.array(values) for key, values in cells.items()}


def subjects_of(cells):
    """The model last."""
    def key(name):
        return name == "model", [int("".join(filter(str.isdigit, part)) or 0)
                                 for part in name.split(".")]
    return sorted({subject for subject, _, _ in cells}, key=key)


def range_of(medians):
    """"5.2 ms", or "0.08 to 0.1 ms"."""
    low, high = style.figures(min(medians), 2), style.figures(max(medians), 2)
    return f"{low} ms" if low == high else say("{low} to {high} ms", low=low, high=high)


def title_of(cells):
    interval = max(interval for _, _, interval in cells)
    found = {hogs: [np.median(values) for (_, h, i), values in cells.items()
                    if (h, i) == (hogs, interval)] for hogs in (0, 1)}
    if not found[0] or not found[1]:
        return translated("An echo server beside CPU-bound threads")
    return say("A reply takes {alone} alone, and {beside} beside one CPU-bound thread", alone=range_of(found[0]),
               beside=range_of(found[1]))


def draw_interval(axes, cells, subjects, groups, interval):
    axes.set_title(say("Switch interval {interval:g} ms", interval=interval))
    axes.set_xlabel(translated("from when the request was due to its reply (ms)"))
    axes.axvline(interval, color=style.BLACK, linestyle="--", linewidth=1.2, zorder=1)
    for (subject, hogs, _), values in {k: v for k, v in cells.items() if k[2] == interval}.items():
        at = groups.index(hogs) * len(subjects) + subjects.index(subject)
        look = MODEL if subject == "model" else LOOK[subjects.index(subject) % len(LOOK)]
        style.dots(axes, values, at, *look)
        style.median_bar(axes, values, at)
        style.beside(axes, at, f"{style.figures(np.median(values), 2)} ms")


def scale(axes, cells):
    latencies = np.concatenate(list(cells.values()))
    axes.set_xscale("log")
    axes.set_xlim(min(latencies.min() / 1.5, 0.05), max(latencies.max() * 1.5, 20))
    axes.xaxis.set_major_locator(LogLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()


def draw(result):
    cells = cells_of(result.samples)
    subjects = subjects_of(cells)
    groups = sorted({hogs for _, hogs, _ in cells})
    intervals = sorted({interval for _, _, interval in cells}, reverse=True)
    pace = result.run["params"].get("pace_ms")
    page = style.Page(result, title_of(cells), say(
        "An echo server in CPython, and in C under a model of its lock; a request is due every {pace} ms. A hog is a "
        "CPU-bound thread beside the server. A dot is a request, a bar the median, the dashed line the switch "
        "interval: how long a thread waits for the GIL before it asks for it.", pace=pace))
    grid = page.grid(1, len(intervals), left=0.13, right=0.92, wspace=0.24)
    for i, interval in enumerate(intervals):
        axes = page.fig.add_subplot(grid[i])
        style.rows_of(axes, [subject for _ in groups for subject in subjects] if i == 0 else
                      [""] * (len(groups) * len(subjects)))
        scale(axes, cells)
        draw_interval(axes, cells, subjects, groups, interval)
        for group, hogs in enumerate(groups):
            top = group * len(subjects) - 0.5
            if group:
                axes.axhline(top, color=style.GREY, linewidth=0.8)
            if i == 0:
                axes.text(-0.13 * len(intervals), top + len(subjects) / 2, translated(HOGS[hogs]),
                          rotation=90, ha="center", va="center", weight="bold",
                          transform=axes.get_yaxis_transform())
        if 0 in groups and not any(h == 0 and at == interval for _, h, at in cells):
            axes.text(0.5, len(subjects) / 2 - 0.5, translated("not measured:\nno hog, no wait"), ha="center",
                      va="center", color=style.GREY, backgroundcolor="white",
                      transform=axes.get_yaxis_transform())
    return page.fig
