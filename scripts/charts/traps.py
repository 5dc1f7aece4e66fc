# SPDX-License-Identifier: MIT
"""epoll's traps: what an edge-triggered reader leaves behind, what a loop without work does, what is reported unasked."""
import numpy as np

from language import MESSAGE, say, translated

from . import style

READERS = {"edge-once": MESSAGE("edge-triggered,\none read (trap)"),
           "edge-drain": MESSAGE("edge-triggered,\nuntil EAGAIN"),
           "level": MESSAGE("level-triggered,\none read"),
           "oneshot": MESSAGE("EPOLLONESHOT,\nre-armed")}
LOOPS = {"out-forgotten": (MESSAGE("EPOLLOUT left on\n(trap)"), (style.RED, "s")),
         "out-needed": (MESSAGE("EPOLLOUT only\nto send"), (style.GREEN, "^"))}
CLOSED = MESSAGE("the closed number")
# as the rows name them: in words, and what is counted of them
UNASKED = {"hup-fresh": (MESSAGE("never connected,\nno events (trap)"), "hup_wakeups", "EPOLLHUP"),
           "hup-connected": (MESSAGE("connected,\nno events"), "hup_wakeups", "EPOLLHUP"),
           "closed-dup": (MESSAGE("closed, duplicate\nopen (trap)"), "closed_wakeups", CLOSED),
           "closed-fork": (MESSAGE("closed, a child\nhas it (trap)"), "closed_wakeups", CLOSED),
           "closed-alone": (MESSAGE("closed,\nno duplicate"), "closed_wakeups", CLOSED)}


def draw_readers(axes, shown):
    style.rows_of(axes, [translated(READERS[name]) for name in shown])
    for at, samples in enumerate(shown.values()):
        read = np.median(style.column(samples, "read_bytes"))
        stuck = np.median(style.column(samples, "stuck_bytes"))
        trials = np.count_nonzero(style.column(samples, "stuck_bytes"))
        axes.barh(at, read, color=style.GREEN, height=0.6)
        axes.barh(at, stuck, left=read, color=style.RED, height=0.6)
        axes.text(read / 2, at, say("read: {bytes:,.0f}", bytes=read), ha="center", va="center", color="white")
        if stuck:
            axes.text(read + stuck / 2, at, say("stuck: {bytes:,.0f}", bytes=stuck), ha="center",
                      va="center", color="white")
        wakeups = np.median(style.column(samples, "wakeups"))
        style.beside(axes, at, say(
            MESSAGE("{wakeups:.0f} wake-ups\nstuck in {stuck} of {trials}") if wakeups > 1 else
            MESSAGE("{wakeups:.0f} wake-up\nstuck in {stuck} of {trials}"),
            wakeups=wakeups, stuck=trials, trials=len(samples)))
    axes.set_xlim(0, shown and max(s["sent_bytes"] for v in shown.values() for s in v) or 1)
    axes.set_xlabel(translated("bytes of a message that arrived at once, read 1,024 at a time"))


def draw_loops(axes, shown):
    style.rows_of(axes, [translated(LOOPS[name][0]) for name in shown])
    for at, (name, samples) in enumerate(shown.items()):
        ns = style.column(samples, "idle_ns")
        share = 100 * style.column(samples, "idle_cpu_ns") / ns
        rate = np.median(style.column(samples, "idle_wakeups") * 1e9 / ns)
        sleeps = np.median(style.column(samples, "idle_sleeps"))
        style.dots(axes, share, at, *LOOPS[name][1])
        style.median_bar(axes, share, at)
        style.beside(axes, at, say(
            MESSAGE("{rate:,.0f} wake-ups/s\nslept {sleeps:.0f} time") if sleeps == 1 else
            MESSAGE("{rate:,.0f} wake-ups/s\nslept {sleeps:.0f} times"), rate=rate, sleeps=sleeps))
    axes.set_xlim(-2, 102)
    axes.set_xlabel(translated("% of a CPU, with nothing to do (what other programs leave of it)"))


def draw_unasked(axes, shown):
    style.rows_of(axes, [translated(UNASKED[name][0]) for name in shown])
    for at, (name, samples) in enumerate(shown.items()):
        _, field, what = UNASKED[name]
        reported, waits = style.column(samples, field).sum(), style.column(samples, "waits").sum()
        axes.barh(at, 100 * reported / waits, color=style.RED, height=0.6)
        axes.text(max(1, 50 * reported / waits), at, say("{k} of {n}", k=reported, n=waits), va="center",
                  ha="center" if reported else "left", color="white" if reported else style.BLACK)
        style.beside(axes, at, translated(what if reported else MESSAGE("nothing")))
    axes.set_xlim(0, 100)
    axes.set_xlabel(translated("% of the calls of epoll_wait, with nothing to do, that reported an event"))


def title_of(result, readers):
    told = []
    stuck = result.number("poll-edge-trap", "stuck_bytes")
    if stuck:
        sent = readers["edge-once"][0]["sent_bytes"]
        told.append(say("Edge-triggered and read once, {stuck:,.0f} of {sent:,} bytes stay behind",
                        stuck=stuck, sent=sent))
    wakeups = result.number("poll-epollout-spin", "forgotten")
    if wakeups is not None:
        idle = style.time_of(result.number("poll-epollout-spin", "idle_ns"))
        told.append(say("a forgotten EPOLLOUT wakes an idle loop {wakeups:,.0f} times in {idle}",
                        wakeups=wakeups, idle=idle))
    return "; ".join(told) or translated("Traps of epoll")


def unasked_title_of(result):
    if result.verdict("poll-hup-fresh") == "refuted" and result.verdict("poll-closed-fd") == "depends":
        return translated("epoll reports a fresh socket unasked, and a closed number that has a duplicate")
    return translated("What epoll reports, asked for nothing")


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
                           translated("Above: medians of the trials. Below: a dot is a trial, a bar the median."),
                           (draw_readers, readers), (draw_loops, loops)),
             "-unasked": draw_page(result, unasked_title_of(result),
                                   translated("A TCP socket is in epoll, and nothing is sent to it."),
                                   (draw_unasked, unasked))}
    return {suffix: figure for suffix, figure in drawn.items() if figure}
