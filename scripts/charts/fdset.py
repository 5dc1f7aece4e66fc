# SPDX-License-Identifier: MIT
"""What lies behind an fd_set after FD_SET and select with a descriptor that does not fit."""
import signal

import numpy as np

from language import MESSAGE, say, translated

from . import style

VARIANTS = {"fits": MESSAGE("select, descriptor {fd}\n(it fits)"),
            "beyond": MESSAGE("select, descriptor {fd}\n(trap)"),
            "guard": MESSAGE("FD_SET({fd}), set at\nthe end of the memory"),
            "fortify": MESSAGE("FD_SET({fd}) with\n_FORTIFY_SOURCE"),
            "poll": MESSAGE("poll, descriptor {fd}\n(cure)")}
BEHIND = 8  # bytes that are watched


def end_of(samples):
    """How the child ended, in words."""
    number = samples[0]["signal"]
    if samples[0]["refused_errno"]:
        return translated("could not be tried")
    if number:
        return say("killed: {signal}", signal=signal.Signals(number).name)
    return translated("says ready,\nwhich is right") if samples[0]["ready"] else translated("does not say ready")


def bar(axes, at, count, colour, words):
    axes.barh(at, count, color=colour, height=0.3)
    axes.text(count + 0.1, at, words, va="center", color=colour if count else style.GREY)


def title_of(shown):
    if "beyond" not in shown or shown["beyond"][0]["refused_errno"]:
        return translated("What select does with a descriptor that does not fit into its set")
    samples = shown["beyond"]
    title = (MESSAGE("With descriptor {fd}, FD_SET overwrote {by_set:.0f} and select {by_select:.0f} of the "
                     "{behind} bytes behind the set; poll {by_poll}") if "poll" in shown else
             MESSAGE("With descriptor {fd}, FD_SET overwrote {by_set:.0f} and select {by_select:.0f} of the "
                     "{behind} bytes behind the set"))
    most = style.column(shown.get("poll", []), "select_bytes").max(initial=0)
    return say(title, fd=samples[0]["descriptor"], behind=BEHIND, by_poll=most or translated("none"),
               by_set=np.median(style.column(samples, "fd_set_bytes")),
               by_select=np.median(style.column(samples, "select_bytes")))


def draw(result):
    shown = style.of_variants(result.samples, *VARIANTS)
    page = style.Page(result, title_of(shown),
                      say("An fd_set has 1,024 bits. Each variant ran in a forked child; medians of "
                          "{trials} trials, right: how it ended.", trials=len(next(iter(shown.values())))))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.22, right=0.83, above=0.03)[0])
    style.rows_of(axes, [say(VARIANTS.get(name, name), fd=samples[0]["descriptor"])
                         for name, samples in shown.items()])
    for at, (name, samples) in enumerate(shown.items()):
        by_set, by_call = (np.median(style.column(samples, field))
                           for field in ("fd_set_bytes", "select_bytes"))
        style.beside(axes, at, end_of(samples))
        if samples[0]["signal"] or samples[0]["refused_errno"]:
            axes.text(0.1, at, translated("stopped before anything could be counted"), va="center",
                      color=style.GREY)
        elif name == "poll":
            bar(axes, at, by_call, style.RED, say("{count:.0f} by poll", count=by_call))
        else:
            bar(axes, at - 0.18, by_set, style.ORANGE, say("{count:.0f} by FD_SET", count=by_set))
            bar(axes, at + 0.18, by_call, style.RED, say("{count:.0f} by select", count=by_call))
    axes.set_xlim(0, BEHIND + 1.5)
    axes.set_xticks(range(BEHIND + 1))
    axes.set_xlabel(translated("bytes overwritten behind the set (poll: behind its array)"))
    return page.fig
