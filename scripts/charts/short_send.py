# SPDX-License-Identifier: MIT
"""What one send took of what it was given, and how many more sent the rest."""
import numpy as np

from . import style

SENDS = {"nonblock": "non-blocking", "block": "blocking,\nundisturbed",
         "sndtimeo": "blocking, cut by\nSO_SNDTIMEO", "signal": "blocking, cut\nby a signal",
         "signal-restart": "the same with\nSA_RESTART"}


def draw_sends(axes, variants, total):
    axes.set_title("One send, then a loop")
    names = [name for name in SENDS if name in variants]
    style.rows_of(axes, [SENDS[name] for name in names])
    for at, name in enumerate(names):
        took = max(0, float(np.median(style.column(variants[name], "result"))))
        calls = int(np.median(style.column(variants[name], "calls")))
        missing = int(style.column(variants[name], "missing_bytes").max())
        axes.barh(at, 100 * took / total, 0.62, color=style.BLUE)
        axes.barh(at, 100 - 100 * took / total, 0.62, left=100 * took / total, color=style.SKY,
                  alpha=0.45)
        axes.text(2, at + 0.42, f"{style.bytes_of(took)} in the first send"
                  + (f", all{' but ' + str(missing) if missing else ''} after {calls} sends"
                     if calls > 1 else ""), size=8.5, va="center", color=style.GREY)
    axes.set_xlim(0, 100)
    axes.set_ylim(len(names) - 0.4, -0.5)
    axes.set_xlabel(f"of the {style.bytes_of(total)} that send was given (%)")


def title_of(variants):
    cut = [s for name in SENDS if name != "block" for s in variants.get(name, [])]
    if not cut:
        return "What a blocking send takes"
    brief = sum(0 <= s["result"] < s["given_bytes"] for s in cut)
    return f"Send took a part in {brief} of {len(cut)} cases, a loop sends the rest"


def draw(result):
    variants = style.of_variants(result.samples, *SENDS)
    page = style.Page(result, title_of(variants), "Strong blue: what the first send took; "
                      "faint: what the loop sent afterwards.")
    grid = page.grid(1, 1, left=0.13, right=0.97, above=0.06, below=0.09)
    draw_sends(page.fig.add_subplot(grid[0]), variants, result.run["params"]["total_bytes"])
    return page.fig
