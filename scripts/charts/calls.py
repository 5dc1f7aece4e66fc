# SPDX-License-Identifier: MIT
"""Which calls a socket takes, and which it refuses."""
from matplotlib.patches import Rectangle

from . import style

KINDS = {"tcp": "TCP socket", "udp": "UDP socket", "file": "regular file"}
YES, NO, NONE = "#9FD9C7", "#F3C3A2", "#EEEEEE"


def cells(sample):
    """What is asked: the answer in a word, and whether it works."""
    def told(field):
        return (("works" if sample[field] == "ok" else sample[field]), sample[field] == "ok") if field in sample else None
    stream = sample["stream_calls"], sample["stream_asked"]
    yield "read, write, fstat, dup, poll", (f"{stream[0]} of {stream[1]} work", stream[0] == stream[1])
    place = sample["place_calls"], sample["place_asked"]
    yield "lseek, pread, pwrite", (f"{place[0]} of {place[1]} work" if place[0] else sample["place_error"],
                                   place[0] == place[1])
    yield "listen", told("listen_error")
    yield "accept (nobody is there)", told("accept_error")
    yield "connect to a second peer", told("second_error")
    yield "question and answer\nwithout the three", (("works", True) if sample["exchanged"] else ("fails", False)) \
        if "exchanged" in sample else None


def draw(result):
    shown = style.of_variants(result.samples, *KINDS)
    title = ("A socket is read and written like a file, but has no place to go back to"
             if result.verdict("sock-is-file") == "depends" else "Which calls a socket takes")
    page = style.Page(result, title, "What each call gave, in the first trial.")
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.27, right=0.97, above=0.1, below=0.02)[0])
    axes.set_axis_off()
    for x, (name, samples) in enumerate(shown.items()):
        axes.text(x, -0.75, KINDS[name], ha="center", weight="bold")
        for y, (what, answer) in enumerate(cells(samples[0])):
            if x == 0:
                axes.text(-0.55, y, what, ha="right", va="center")
            axes.add_patch(Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, linewidth=0,
                                     color=NONE if answer is None else YES if answer[1] else NO))
            axes.text(x, y, "not asked" if answer is None else answer[0], ha="center", va="center",
                      color=style.GREY if answer is None else style.BLACK)
    axes.set_xlim(-0.5, len(shown) - 0.5)
    axes.set_ylim(5.5, -1)
    return page.fig
