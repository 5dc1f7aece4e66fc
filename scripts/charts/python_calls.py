# SPDX-License-Identifier: MIT
"""What sendall and send return, and what bind makes of a port as text, by interpreter."""
from matplotlib.patches import Rectangle

from language import MESSAGE, say, translated

from . import style

CALLS = {"sendall_returned": MESSAGE("sendall of 8 bytes\nreturns"),
         "send_returned": MESSAGE("send of 8 bytes\nreturns"), "bind_result": MESSAGE("bind of a port\nas text")}
TITLES = {  # whether sendall returns no number, and bind takes no text
    (True, True):
        MESSAGE("Sendall returns no number of bytes, and bind takes no port as text: {pythons} Pythons agree"),
    (True, False): MESSAGE("Sendall returns no number of bytes: {pythons} Pythons agree"),
    (False, True): MESSAGE("Bind takes no port as text: {pythons} Pythons agree"),
    (False, False): MESSAGE("What sendall returns, and what bind takes")}
YES, NO = "#9FD9C7", "#F3C3A2"  # green and red that text can stand on


def draw(result):
    shown = style.of_variants(result.all_samples, *result.run["variants"])
    title = TITLES[tuple(result.verdict(claim) == "refuted" for claim in ("py-sendall-returns", "py-port-is-string"))]
    page = style.Page(result, say(title, pythons=len(shown)), translated("Green: the number of bytes, or bound."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.2, right=0.97, above=0.1, below=0.02)[0])
    style.rows_of(axes, list(shown))
    axes.set_xlim(-0.5, len(CALLS) - 0.5)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    for x, (field, words) in enumerate(CALLS.items()):
        axes.text(x, -0.65, translated(words), ha="center", va="bottom", size=style.PANEL)
        for y, samples in enumerate(shown.values()):
            came = translated(" or ").join(sorted({sample[field] for sample in samples}))
            good = came == "bound" or came.isdecimal()
            axes.add_patch(Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, linewidth=0,
                                     color=YES if good else NO))
            axes.text(x, y, came, ha="center", va="center")
    return page.fig
