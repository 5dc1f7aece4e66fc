# SPDX-License-Identifier: MIT
"""Blocking or not, synchronous or not: the table of four, filled with measurements."""
import numpy as np

from language import MESSAGE, say, translated

from . import style

CELLS = {  # (row, column): its ways and how they are written
    (0, 0): {"recv": "recv(fd)"},
    (0, 1): {"epoll": MESSAGE("epoll_wait(), then recv")},
    (1, 0): {"spin": MESSAGE("recv(fd, MSG_DONTWAIT) again and again")},
    (1, 1): {"sigio": MESSAGE("a signal (O_ASYNC, F_SETSIG), then recv"),
             "io_uring": MESSAGE("io_uring: the kernel does the recv")},
}
ROWS = (MESSAGE("The call waits\n(blocking)"), MESSAGE("The call returns at once\n(non-blocking)"))
LEFT = -42  # of a cell, where its bars are 0 to 100
HEIGHT = 2.9  # of a way in its cell
COLUMNS = (MESSAGE("The thread finds out by asking (synchronous)"),
           MESSAGE("The kernel tells the thread (asynchronous)"))


def asleep(samples):
    return 100 * style.column(samples, "asleep_looks") / np.maximum(
        style.column(samples, "looks"), 1)


def worked(samples, alone):
    """% of the work that is done without messages, in each trial."""
    rates = style.column(samples, "slices") / style.column(samples, "elapsed_ns")
    return 100 * rates / alone


def each(samples, field, count="got_messages"):
    return style.column(samples, field).sum() / max(style.column(samples, count).sum(), 1)


def facts_of(samples):
    """What a cell says in words."""
    calls, got = each(samples, "calls"), style.column(samples, "got_messages").sum()
    told = style.column(samples, "told_messages").sum()
    call = style.time_of(np.median(style.column(samples, "call_ns")))
    return say(MESSAGE("a call takes {call}; {many} calls a message\n"
                       "the kernel told of {told:,} of {got:,} messages") if calls > 1 else
               MESSAGE("a call takes {call}; {many} call a message\n"
                       "the kernel told of {told:,} of {got:,} messages"),
               call=call, many=style.figures(calls, 2 if calls < 10 else 4), told=told, got=got)


def draw_way(axes, at, code, samples, alone):
    """One way in its cell: what it is, two bars, what else was measured."""
    axes.text(LEFT, at, translated(code), weight="bold", va="center", size=style.PANEL)
    bars = [(translated("asleep"), asleep(samples), style.RED)]
    if alone:
        bars.append((translated("work done"), worked(samples, alone), style.GREEN))
    for step, (words, shares, colour) in enumerate(bars):
        y = at + 0.62 + 0.48 * step
        share = np.median(shares)
        axes.barh(y, 100, color=style.PALE, height=0.38, alpha=0.5)
        axes.barh(y, share, color=colour, height=0.38, alpha=0.8)
        axes.plot(np.minimum(shares, 112), y + style.jitter(len(shares), 0.25), ".",
                  color=style.BLACK, markersize=4)
        axes.text(-3, y, words, ha="right", va="center")
        axes.text(116, y, f"{style.figures(share, 3 if share >= 1 else 1)} %", va="center")
    axes.text(LEFT, at + 1.87, facts_of(samples), va="center", linespacing=1.4)


def draw_cell(axes, ways, variants, alone):
    shown = {name: code for name, code in ways.items() if name in variants}
    axes.set_xlim(LEFT - 5, 150)
    axes.set_ylim(HEIGHT * len(ways) - 0.5, -0.6)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for side in ("left", "right", "top", "bottom"):
        axes.spines[side].set(visible=True, color=style.GREY)
    for place, (name, code) in enumerate(shown.items()):
        draw_way(axes, HEIGHT * place, code, variants[name], alone)
    if not shown:
        axes.text(LEFT, 0.5, translated("not measured in this run"), color=style.GREY)


def title_of(result):
    found = result.number("poll-four-quadrants", "combinations")
    if found is None:
        return translated("Whether a call waits, and who notices that a message has come")
    return say("{found} of 4 combinations were shown: whether the call waits, and who notices that a "
               "message has come, are two questions", found=found)


def draw(result):
    params = result.run["params"]
    variants = style.of_variants(result.samples)
    alone = 0
    if "work" in variants:
        samples = variants["work"]
        alone = np.median(style.column(samples, "slices") / style.column(samples, "elapsed_ns"))
    page = style.Page(
        result, title_of(result),
        say("A message each {gap}, to a thread that has other work. "
            "Asleep: % of the looks at its state in /proc. Work: % of what it does without messages. "
            "Bar: the median, dot: a trial.", gap=style.time_of(params["gap_ms"] * 1e6)))
    grid = page.grid(2, 2, left=0.075, right=0.985, above=0.055, below=0.02, wspace=0.03,
                     hspace=0.04, height_ratios=(1, 2))
    for (row, column), ways in CELLS.items():
        axes = page.fig.add_subplot(grid[row, column])
        draw_cell(axes, ways, variants, alone)
        if len(ways) == 1 and row == 1:  # as high as its neighbour, which holds two
            axes.set_ylim(HEIGHT * 2 - 0.5, -0.6)
        if row == 0:
            axes.set_title(translated(COLUMNS[column]), color=style.BLUE, weight="bold", size=style.BODY)
        if column == 0:
            axes.set_ylabel(translated(ROWS[row]), color=style.BLUE, weight="bold", size=style.BODY)
    return page.fig
