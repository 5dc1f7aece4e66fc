# SPDX-License-Identifier: MIT
"""The cost of one readiness wait by how many descriptors it watches, for each way to wait."""
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator

from language import MESSAGE, say, translated

from . import style

IS = {
    "select": ("select", style.ORANGE, "D"),
    "poll": ("poll", style.RED, "s"),
    "epoll": (MESSAGE("epoll, level"), style.BLUE, "o"),
    "epoll-edge": (MESSAGE("epoll, edge"), style.SKY, "P"),
    "epoll-once": (MESSAGE("epoll, one-shot"), style.BLACK, "X"),
    "uring": (MESSAGE("io_uring, multishot"), style.GREEN, "^"),
    "uring-once": (MESSAGE("io_uring, one-shot"), style.PINK, "v"),
}
APART = 0.042  # of the panel's height: one line of a label


def cells_of(samples, one):
    """{watched: samples}, of one ready descriptor or of a share."""
    cells = {}
    for sample in samples:
        if (sample["ready_fds"] == 1) == one:
            cells.setdefault(sample["watched_fds"], []).append(sample)
    return dict(sorted(cells.items()))


def exponent(samples, fit_from):
    """The trials' median of the slope of log(wait) over log(watched), between both ends."""
    trials = {}
    for sample in samples:
        if sample["ready_fds"] == 1 and sample["watched_fds"] >= fit_from:
            trials.setdefault(sample["trial"], {})[sample["watched_fds"]] = sample["wait_ns"]
    slopes = [np.log(wait[max(wait)] / wait[min(wait)]) / np.log(max(wait) / min(wait))
              for wait in trials.values() if len(wait) > 1]
    if not slopes:
        return None
    return (np.median(slopes), *interval(slopes))


def interval(values):
    """The bootstrap 95 % interval of their median."""
    picks = np.random.default_rng(1).choice(values, (1000, len(values)))
    return np.quantile(np.median(picks, axis=1), [0.025, 0.975])


def title_of(fits, cells):
    costs = {}
    for name in ("poll", "epoll"):
        if fits.get(name) is None:
            return translated("What a readiness wait costs by how many descriptors it watches")
        many = max(cells[name])
        costs[name] = style.time_of(np.median(style.column(cells[name][many], "wait_ns")))
    return say("With {many:,} descriptors poll takes {poll} to find the ready one, epoll takes {epoll}",
               many=many, **costs)


def spread_apart(heights, gap):
    """The heights moved as little as needed so that labels do not lie upon each other."""
    order = np.argsort(heights)
    placed = np.array(heights, dtype=float)
    for below, above in zip(order, order[1:]):
        placed[above] = max(placed[above], placed[below] + gap)
    return placed


def draw_lines(axes, cells, cost, label):
    """A line for each way: medians, with their intervals as a band.  Its ends, for labels."""
    ends = []
    for name, by_watched in cells.items():
        words, colour, marker = IS.get(name, (name, style.GREY, "."))
        watched = np.array(list(by_watched))
        values = [cost(rows) for rows in by_watched.values()]
        middle = np.array([np.median(v) for v in values])
        axes.fill_between(watched, *zip(*map(interval, values)), color=colour, alpha=0.25,
                          linewidth=0)
        axes.plot(watched, middle, marker=marker, color=colour, markersize=5, linewidth=1.4,
                  markeredgewidth=0)
        ends.append((middle[-1], label(name, translated(words)), colour))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ns, _: style.time_of(ns)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
    axes.minorticks_off()
    axes.set_xlabel(translated("descriptors watched (log)"))
    return ends


def put_labels(axes, ends):
    """Each beside the end of its line, if need be above it."""
    low, high = np.log(axes.get_ylim())
    heights = [(np.log(value) - low) / (high - low) for value, _, _ in ends]
    lines = max(words.count("\n") + 1 for _, words, _ in ends)
    for height, (_, words, colour) in zip(spread_apart(heights, lines * APART), ends):
        axes.text(1.02, height, words, color=colour, size=style.CAPTION, va="center",
                  transform=axes.transAxes)


def draw(result):
    variants = style.of_variants(result.samples, *IS)
    one = {name: cells_of(rows, True) for name, rows in variants.items()}
    tenth = {name: cells_of(rows, False) for name, rows in variants.items()}
    tenth = {name: cells for name, cells in tenth.items() if cells}
    fit_from = int(result.bound("fit_fds"))
    fits = {name: exponent(rows, fit_from) for name, rows in variants.items()}
    page = style.Page(
        result, title_of(fits, one),
        say("Medians of the trials, with their 95 % intervals. The exponent says how the cost grows "
            "from {descriptors} descriptors on: 0 not at all, 1 in proportion.", descriptors=fit_from))
    grid = page.grid(1, 2, left=0.075, right=0.865, wspace=0.62, above=0.075)

    def label(name, words):
        if fits[name] is None:
            return words
        mid, low, high = (abs(value) if abs(value) < 0.005 else value for value in fits[name])
        return say("{way}\n{mid:.2f} ({low:.2f} to {high:.2f})", way=words, mid=mid, low=low, high=high)

    left = page.fig.add_subplot(grid[0])
    ends = draw_lines(left, one, lambda rows: style.column(rows, "wait_ns"), label)
    left.set_title(translated("One of them is ready: the wait"))
    left.text(1.02, 1.0, translated("exponent\n(95 % interval)"), transform=left.transAxes,
              size=style.CAPTION, color=style.GREY)
    put_labels(left, ends)
    if tenth:
        right = page.fig.add_subplot(grid[1])
        ends = draw_lines(right, tenth, lambda rows: (
            style.column(rows, "tenth_event_ns") / style.column(rows, "ready_fds")), lambda _, words: words)
        right.set_title(translated("A tenth is ready: write and wait, each"))
        right.set_ylim(100, None)
        right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        put_labels(right, ends)
    return page.fig
