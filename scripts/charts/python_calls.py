# SPDX-License-Identifier: MIT
"""What sendall and send return, and what bind makes of a port as text, by interpreter."""
from matplotlib.patches import Rectangle

from . import style

CALLS = {"sendall_returned": "sendall of 8 bytes\nreturns", "send_returned": "send of 8 bytes\nreturns",
         "bind_result": "bind of a port\nas text"}
YES, NO = "#9FD9C7", "#F3C3A2"  # green and red that text can stand on


def draw(result):
    shown = style.of_variants(result.all_samples, *result.run["variants"])
    told = []
    if result.verdict("py-sendall-returns") == "refuted":
        told.append("sendall returns no number of bytes")
    if result.verdict("py-port-is-string") == "refuted":
        told.append("bind takes no port as text")
    title = (", and ".join(told) + f": {len(shown)} Pythons agree" if told else
             "What sendall returns, and what bind takes")
    page = style.Page(result, title[0].upper() + title[1:], "Green: the number of bytes, or bound.")
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.2, right=0.97, above=0.1, below=0.02)[0])
    style.rows_of(axes, list(shown))
    axes.set_xlim(-0.5, len(CALLS) - 0.5)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    for x, (field, words) in enumerate(CALLS.items()):
        axes.text(x, -0.65, words, ha="center", va="bottom", size=style.PANEL)
        for y, samples in enumerate(shown.values()):
            came = " or ".join(sorted({sample[field] for sample in samples}))
            good = came == "bound" or came.isdecimal()
            axes.add_patch(Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, linewidth=0,
                                     color=YES if good else NO))
            axes.text(x, y, came, ha="center", va="center")
    return page.fig
