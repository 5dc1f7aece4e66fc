# SPDX-License-Identifier: MIT
"""A thread's time as running, ready and waiting: in recv, and beside another that computes."""
import numpy as np

from language import MESSAGE, say, translated
from . import style

STATES = ((MESSAGE("running"), style.GREEN), (MESSAGE("ready"), style.YELLOW), (MESSAGE("waiting"), style.PALE))
LABELS = {"waits": MESSAGE("in recv, beside a thread\nthat computes on its CPU"),
          "computes": MESSAGE("computes, beside a thread\nthat computes on its CPU")}
ROOM = 0.06  # a narrower part of a bar has no number


def shares(samples):
    """The medians of each state's share of the wall time."""
    return [np.median([s[f"{state}_ns"] / max(s["elapsed_ns"], 1) for s in samples])
            for state, _ in STATES]


def percent(share):
    return f"{100 * share:.0f} %"


def title_of(found):
    told = []
    if "waits" in found:
        told.append(say("a thread in recv was waiting for {share} of the time", share=percent(found["waits"][2])))
    if "computes" in found:
        told.append(say("one that computed beside another was ready for {share}", share=percent(found["computes"][1])))
    title = ", ".join(told)
    return title[:1].upper() + title[1:]


def draw(result):
    variants = style.of_variants(result.all_samples, *LABELS)
    found = {name: shares(samples) for name, samples in variants.items()}
    page = style.Page(result, title_of(found), translated("Medians of the trials, by the kernel's counts of CPU "
                      "time and run delay; waiting is the rest of the wall time."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.24, right=0.97, above=0.12, below=0.1)[0])
    style.rows_of(axes, [translated(LABELS[name]) for name in found])
    axes.set_xlim(0, 1)
    axes.set_xlabel(translated("share of the wall time"))
    axes.xaxis.set_major_formatter(lambda share, _: percent(share))
    for at, parts in enumerate(found.values()):
        left = 0
        for share, (state, colour) in zip(parts, STATES):
            axes.barh(at, share, left=left, height=0.5, color=colour, label="" if at else translated(state))
            if share >= ROOM:
                axes.text(left + share / 2, at, f"{translated(state)}\n{percent(share)}", ha="center", va="center")
            left += share
    page.fig.legend(*axes.get_legend_handles_labels(), loc="upper left", ncol=len(STATES),
                    frameon=False, bbox_to_anchor=(style.LEFT - 0.01, page.top + 0.005))
    return page.fig
