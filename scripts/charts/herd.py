# SPDX-License-Identifier: MIT
"""A connection comes: how many processes wake up for it, and who gets the work."""
import numpy as np

from language import MESSAGE, say, translated

from . import style

VARIANTS = {"own": MESSAGE("one epoll\nfor each"),
            "shared": MESSAGE("one epoll\nfor all"),
            "exclusive": MESSAGE("for each,\nEXCLUSIVE"),
            "reuseport": "SO_REUSEPORT",
            "blocking": MESSAGE("blocking\naccept")}
TOLD = {"own": MESSAGE("{woken:.1f} if each has its own epoll instance"),
        "exclusive": MESSAGE("{woken:.1f} with EPOLLEXCLUSIVE"),
        "blocking": MESSAGE("{woken:.1f} in accept")}


def each(samples, field):
    """Of each trial, for one connection."""
    return style.column(samples, field) / style.column(samples, "connections")


def draw_wakeups(axes, shown, workers):
    style.rows_of(axes, [translated(VARIANTS.get(name, name)) for name in shown])
    axes.axvline(1, color=style.GREEN, linewidth=1.5, linestyle=":")
    axes.axvline(workers, color=style.RED, linewidth=1.5, linestyle=":")
    for at, (name, samples) in enumerate(shown.items()):
        woken = each(samples, "wakeups")
        style.dots(axes, woken, at, *style.CYCLE[at % len(style.CYCLE)])
        style.median_bar(axes, woken, at)
        right = np.median(woken) > workers * 0.7
        axes.annotate(f"{np.median(woken):.2f}", (np.median(woken), at),
                      (-12 if right else 12, 0), textcoords="offset points", va="center",
                      ha="right" if right else "left")
    axes.set_xlim(0, workers * 1.06)
    axes.set_title(translated("Processes that the kernel wakes"))
    axes.set_xlabel(say("for one connection\n(green: 1 is needed, red: {workers} wait)", workers=workers))


def shares(rows, name, workers):
    """What the busiest worker of a trial serves, the next one ...: % of all, mean of the trials."""
    trials = {}
    for row in rows:
        if row["variant"] == name:
            trials.setdefault(row["trial"], []).append(row["accepts"])
    ordered = np.array([sorted(accepts, reverse=True) for accepts in trials.values()
                        if len(accepts) == workers], dtype=float)
    if not ordered.size or not ordered.sum():
        return np.zeros(workers)
    return 100 * ordered.sum(axis=0) / ordered.sum()


def draw_shares(axes, shown, rows, workers):
    style.rows_of(axes, ["" for _ in shown])
    for at, name in enumerate(shown):
        left = 0
        for place, share in enumerate(shares(rows, name, workers)):
            axes.barh(at, share, left=left, height=0.6, edgecolor="white",
                      color=style.ORANGE if place == 0 else style.BLUE)
            if share > 7:
                axes.text(left + share / 2, at, f"{share:.0f}", ha="center", va="center",
                          color=style.BLACK if place == 0 else "white", size=style.CAPTION)
            left += share
    axes.set_xlim(0, 100)
    axes.set_title(translated("Who serves them"))
    axes.set_xlabel(translated("% of the connections, one block a process,\n"
                               "the busiest one of each trial first"))


def draw(result):
    shown = style.of_variants(result.samples, *VARIANTS)
    workers = result.run["params"]["workers"]
    told = [say(words, woken=np.median(each(shown[name], "wakeups"))) for name, words in TOLD.items() if name in shown]
    page = style.Page(result,
                      say("Of {workers} processes that wait, a connection wakes {told}", workers=workers,
                          told=", ".join(told))
                      if told else say("{workers} processes wait for a connection", workers=workers),
                      say("{connections} connections a trial, one at a time, to idle workers. A dot is a trial, "
                          "a bar the median.", connections=result.run["params"]["connections"]))
    grid = page.grid(1, 2, left=0.14, right=0.975, above=0.09, below=0.13, wspace=0.06)
    draw_wakeups(page.fig.add_subplot(grid[0]), shown, workers)
    draw_shares(page.fig.add_subplot(grid[1]), shown, result.kinds.get("worker", []), workers)
    return page.fig
