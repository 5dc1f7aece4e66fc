# SPDX-License-Identifier: MIT
"""The queue of a listener: how many connections it takes, and when the others try again."""
import numpy as np

from language import say, translated

from . import style


def of_listener(rows, listener):
    return [row for row in rows if (row["asked_backlog"], row.get("family", 4)) == listener]


def name_of(listener):
    asked, family = listener
    return f"listen({asked:,})" + (f"\nIPv{family}" if family != 4 else "")


def draw_sizes(axes, result, listeners):
    """Beside each n: how many got through."""
    axes.set_title(translated("How many connections\nlisten(n) queued"))
    style.rows_of(axes, [name_of(listener) for listener in listeners])
    axes.set_xscale("log")
    most = 1
    for at, (asked, family) in enumerate(listeners):
        samples = of_listener(result.samples, (asked, family))
        completed = style.column(samples, "completed_connects")
        style.dots(axes, completed, at, style.BLUE, "o")
        number = int(np.median(completed))
        limit = int(np.median(style.column(samples, "limit_backlog")))
        words = (f"{number:,} = {asked:,} + {number - asked:,}" if number >= asked else
                 say("{number:,} = limit {limit:,} + {more:,}", number=number, limit=limit, more=number - limit))
        right = number > 100
        axes.annotate(words, (number, at), (-9 if right else 9, 0), textcoords="offset points",
                      va="center", ha="right" if right else "left", color=style.BLUE)
        most = max(most, number)
    axes.set_xlim(0.5, most * 2)
    axes.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
    axes.minorticks_off()
    axes.set_xlim(0.5, max(most * 2, 60))
    axes.set_xlabel(translated("connections that got through"))


def draw_waiting(axes, result, listeners):
    """A line for each client that did not get through: its SYNs, and when it was let in."""
    first = [[row for row in rows if row["trial"] == 0]
             for rows in (result.kinds.get("retry", []), result.kinds.get("admit", []), result.samples)]
    accept = result.run["params"]["accept_after_ms"] / 1e3
    at, ticks, end = 0, [], accept
    for listener in listeners:
        retries, admits, (sample,) = (of_listener(rows, listener) for rows in first)
        admits = {row["waiter"]: row for row in admits}
        elapsed = end = sample["elapsed_ns"] / 1e9
        ticks.append((at + 2, name_of(listener)))
        for waiter in sorted({row["waiter"] for row in retries} | set(admits)):
            mine = [row for row in retries if row["waiter"] == waiter]
            begin = (mine or [admits[waiter]])[0]["begin_ns"] / 1e9
            syns = [begin] + [begin + row["since_connect_ns"] / 1e9 for row in mine]
            last = elapsed
            if waiter in admits:
                last = begin + admits[waiter]["since_connect_ns"] / 1e9
                syns = [syn for syn in syns if syn < last - 0.02 * elapsed]
                axes.plot(last, at, "^", color=style.GREEN, markersize=7, markeredgewidth=0)
            axes.plot([begin, last], [at, at], color=style.PALE, linewidth=2, zorder=1)
            axes.plot(syns, [at] * len(syns), "|", color=style.RED, markersize=8,
                      markeredgewidth=2)
            at += 1
        at += 1.5
    axes.axvline(accept, color=style.BLACK, linewidth=1, linestyle="--")
    axes.set_ylim(at - 1, -1.2)
    axes.set_xlim(-0.02 * end, end * 1.03)
    words = translated("the servers begin to accept")
    axes.text(accept, -1.2, " " + words if accept < end / 2 else words + " ", va="bottom",
              ha="left" if accept < end / 2 else "right")
    axes.set_yticks([place for place, _ in ticks], [words for _, words in ticks])
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(translated("time since the first connects (s)"))


def title_of(result, sizes):
    n = sizes[-1] if len(sizes) < 2 else [size for size in sizes if size < 4000][-1]
    samples = of_listener(result.samples, (n, 4))
    queued = int(np.median(style.column(samples, "completed_connects")))
    refused = int(style.column(samples, "refused_connects").sum())
    waiting = int(style.column(samples, "waiting_connects").sum())
    return say("listen({n}) queued {queued:,} connections; of the others {refused} were refused, "
               "{waiting} had to try again", n=n, queued=queued, refused=refused, waiting=waiting)


def draw(result):
    listeners = sorted({(sample["asked_backlog"], sample.get("family", 4)) for sample in result.samples})
    page = style.Page(result, title_of(result, [asked for asked, family in listeners if family == 4]),
                      translated("Clients connect to listeners that do not accept. Right: those that did not "
                                 "get through, a line each; red: a SYN, green: let in."))
    grid = page.grid(1, 2, left=0.12, above=0.1, wspace=0.3, width_ratios=(1, 1.9))
    draw_sizes(page.fig.add_subplot(grid[0]), result, listeners)
    draw_waiting(page.fig.add_subplot(grid[1]), result, listeners)
    return page.fig
