# SPDX-License-Identifier: MIT
"""What one send took of what it was given, and how many more sent the rest."""
import numpy as np

from language import MESSAGE, say, translated

from . import style

SENDS = {"nonblock": MESSAGE("non-blocking"), "block": MESSAGE("blocking,\nundisturbed"),
         "sndtimeo": MESSAGE("blocking, cut by\nSO_SNDTIMEO"), "signal": MESSAGE("blocking, cut\nby a signal"),
         "signal-restart": MESSAGE("the same with\nSA_RESTART")}


def draw_sends(axes, variants, total):
    axes.set_title(translated("One send, then a loop"))
    names = [name for name in SENDS if name in variants]
    style.rows_of(axes, [translated(SENDS[name]) for name in names])
    for at, name in enumerate(names):
        took = max(0, float(np.median(style.column(variants[name], "result"))))
        calls = int(np.median(style.column(variants[name], "calls")))
        missing = int(style.column(variants[name], "missing_bytes").max())
        axes.barh(at, 100 * took / total, 0.62, color=style.BLUE)
        axes.barh(at, 100 - 100 * took / total, 0.62, left=100 * took / total, color=style.SKY,
                  alpha=0.45)
        words = (MESSAGE("{took} in the first send") if calls <= 1 else
                 MESSAGE("{took} in the first send, all but {missing} after {calls} sends") if missing else
                 MESSAGE("{took} in the first send, all after {calls} sends"))
        axes.text(2, at + 0.42, say(words, took=style.bytes_of(took), missing=missing, calls=calls), size=8.5,
                  va="center", color=style.GREY)
    axes.set_xlim(0, 100)
    axes.set_ylim(len(names) - 0.4, -0.5)
    axes.set_xlabel(say("of the {total} that send was given (%)", total=style.bytes_of(total)))


def title_of(variants):
    cut = [s for name in SENDS if name != "block" for s in variants.get(name, [])]
    if not cut:
        return translated("What a blocking send takes")
    brief = sum(0 <= s["result"] < s["given_bytes"] for s in cut)
    return say("Send took a part in {brief} of {cases} cases, a loop sends the rest", brief=brief, cases=len(cut))


def draw(result):
    variants = style.of_variants(result.samples, *SENDS)
    page = style.Page(result, title_of(variants),
                      translated("Strong blue: what the first send took; faint: what the loop sent afterwards."))
    grid = page.grid(1, 1, left=0.13, right=0.97, above=0.06, below=0.09)
    draw_sends(page.fig.add_subplot(grid[0]), variants, result.run["params"]["total_bytes"])
    return page.fig
