# SPDX-License-Identifier: MIT
"""epoll's traps: what an edge-triggered reader leaves behind, what a loop without work does, what is reported unasked."""
import numpy as np

from . import style

READERS = {"edge-once": "edge-triggered,\none read (trap)",
           "edge-drain": "edge-triggered,\nuntil EAGAIN",
           "level": "level-triggered,\none read",
           "oneshot": "EPOLLONESHOT,\nre-armed"}
LOOPS = {"out-forgotten": ("EPOLLOUT left on\n(trap)", (style.RED, "s")),
         "out-needed": ("EPOLLOUT only\nto send", (style.GREEN, "^"))}
# as the rows name them: in words, and what is counted of them
UNASKED = {"hup-fresh": ("never connected,\nno events (trap)", "hup_wakeups", "EPOLLHUP"),
           "hup-connected": ("connected,\nno events", "hup_wakeups", "EPOLLHUP"),
           "closed-dup": ("closed, duplicate\nopen (trap)", "closed_wakeups", "the closed number"),
           "closed-fork": ("closed, a child\nhas it (trap)", "closed_wakeups", "the closed number"),
           "closed-alone": ("closed,\nno duplicate", "closed_wakeups", "the closed number")}


def draw_readers(axes, shown):
    style.rows_of(axes, [READERS[name] for name in shown])
    for at, samples in enumerate(shown.values()):
        read = np.median(style.column(samples, "read_bytes"))
        stuck = np.median(style.column(samples, "stuck_bytes"))
        trials = np.count_nonzero(style.column(samples, "stuck_bytes"))
        axes.barh(at, read, color=style.GREEN, height=0.6)
        axes.barh(at, stuck, left=read, color=style.RED, height=0.6)
        axes.text(read / 2, at, f"read: {read:,.0f}", ha="center", va="center", color="white")
        if stuck:
            axes.text(read + stuck / 2, at, f"stuck: {stuck:,.0f}", ha="center", va="center",
                      color="white")
        wakeups = np.median(style.column(samples, "wakeups"))
        style.beside(axes, at, f"{wakeups:.0f} wake-up{'s' if wakeups > 1 else ''}\n"
                     f"stuck in {trials} of {len(samples)}")
    axes.set_xlim(0, shown and max(s["sent_bytes"] for v in shown.values() for s in v) or 1)
    axes.set_xlabel("bytes of a message that arrived at once, read 1,024 at a time")


def draw_loops(axes, shown):
    style.rows_of(axes, [LOOPS[name][0] for name in shown])
    for at, (name, samples) in enumerate(shown.items()):
        ns = style.column(samples, "idle_ns")
        share = 100 * style.column(samples, "idle_cpu_ns") / ns
        rate = np.median(style.column(samples, "idle_wakeups") * 1e9 / ns)
        sleeps = np.median(style.column(samples, "idle_sleeps"))
        style.dots(axes, share, at, *LOOPS[name][1])
        style.median_bar(axes, share, at)
        style.beside(axes, at, f"{rate:,.0f} wake-ups/s\nslept {sleeps:.0f} "
                     f"time{'' if sleeps == 1 else 's'}")
    axes.set_xlim(-2, 102)
    axes.set_xlabel("% of a CPU, with nothing to do (what other programs leave of it)")


def draw_unasked(axes, shown):
    style.rows_of(axes, [UNASKED[name][0] for name in shown])
    for at, (name, samples) in enumerate(shown.items()):
        _, field, what = UNASKED[name]
        reported, waits = style.column(samples, field).sum(), style.column(samples, "waits").sum()
        axes.barh(at, 100 * reported / waits, color=style.RED, height=0.6)
        axes.text(max(1, 50 * reported / waits), at, f"{reported} of {waits}", va="center",
                  ha="center" if reported else "left", color="white" if reported else style.BLACK)
        style.beside(axes, at, what if reported else "nothing")
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of the calls of epoll_wait, with nothing to do, that reported an event")


def title_of(result, readers):
    told = []
    stuck = result.number("poll-edge-trap", "stuck_bytes")
    if stuck:
        sent = readers["edge-once"][0]["sent_bytes"]
        told.append(f"Edge-triggered and read once, {stuck:,.0f} of {sent:,} bytes stay behind")
    wakeups = result.number("poll-epollout-spin", "forgotten")
    if wakeups is not None:
        idle = style.time_of(result.number("poll-epollout-spin", "idle_ns"))
        told.append(f"a forgotten EPOLLOUT wakes an idle loop {wakeups:,.0f} times in {idle}")
    return "; ".join(told) or "Traps of epoll"


def unasked_title_of(result):
    if result.verdict("poll-hup-fresh") == "refuted" and result.verdict("poll-closed-fd") == "depends":
        return "epoll reports a fresh socket unasked, and a closed number that has a duplicate"
    return "What epoll reports, asked for nothing"


def draw_page(result, title, note, *parts):
    """The parts that have samples, one below the other; None without any."""
    parts = [(draw_part, shown) for draw_part, shown in parts if shown]
    if not parts:
        return None
    page = style.Page(result, title, note)
    grid = page.grid(len(parts), 1, left=0.16, right=0.82, above=0.03, hspace=0.42,
                     height_ratios=[len(shown) for _, shown in parts])
    for at, (draw_part, shown) in enumerate(parts):
        draw_part(page.fig.add_subplot(grid[at]), shown)
    return page.fig


def draw(result):
    """The pictures by what is added to their names."""
    samples = style.of_variants(result.samples, *READERS, *LOOPS, *UNASKED)
    readers, loops, unasked = ({name: samples[name] for name in names if name in samples}
                               for names in (READERS, LOOPS, UNASKED))
    drawn = {"": draw_page(result, title_of(result, readers),
                           "Above: medians of the trials. Below: a dot is a trial, a bar the median.",
                           (draw_readers, readers), (draw_loops, loops)),
             "-unasked": draw_page(result, unasked_title_of(result),
                                   "A TCP socket is in epoll, and nothing is sent to it.",
                                   (draw_unasked, unasked))}
    return {suffix: figure for suffix, figure in drawn.items() if figure}
