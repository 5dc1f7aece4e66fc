# SPDX-License-Identifier: MIT
"""Which calls a socket takes, and which it refuses."""
from matplotlib.patches import Rectangle

from language import MESSAGE, say, translated

from . import style

KINDS = {"tcp": MESSAGE("TCP socket"), "udp": MESSAGE("UDP socket"), "file": MESSAGE("regular file")}
YES, NO, NONE = "#9FD9C7", "#F3C3A2", "#EEEEEE"


def cells(sample):
    """What is asked: the answer in a word, and whether it works."""
    def told(field):
        if field in sample:
            works = sample[field] == "ok"
            return translated("works") if works else sample[field], works
        return None

    def counted(k, n):
        return say("{k} of {n} work", k=k, n=n)
    stream = sample["stream_calls"], sample["stream_asked"]
    yield "read, write, fstat, dup, poll", (counted(*stream), stream[0] == stream[1])
    place = sample["place_calls"], sample["place_asked"]
    yield "lseek, pread, pwrite", (counted(*place) if place[0] else sample["place_error"], place[0] == place[1])
    yield "listen", told("listen_error")
    yield translated("accept (nobody is there)"), told("accept_error")
    yield translated("connect to a second peer"), told("second_error")
    yield translated("question and answer\nwithout the three"), (
        None if "exchanged" not in sample else
        (translated("works"), True) if sample["exchanged"] else (translated("fails"), False))


def draw(result):
    shown = style.of_variants(result.samples, *KINDS)
    title = (translated("A socket is read and written like a file, but has no place to go back to")
             if result.verdict("sock-is-file") == "depends" else translated("Which calls a socket takes"))
    page = style.Page(result, title, translated("What each call gave, in the first trial."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.27, right=0.97, above=0.1, below=0.02)[0])
    axes.set_axis_off()
    for x, (name, samples) in enumerate(shown.items()):
        axes.text(x, -0.75, translated(KINDS[name]), ha="center", weight="bold")
        for y, (what, answer) in enumerate(cells(samples[0])):
            if x == 0:
                axes.text(-0.55, y, what, ha="right", va="center")
            axes.add_patch(Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, linewidth=0,
                                     color=NONE if answer is None else YES if answer[1] else NO))
            axes.text(x, y, translated("not asked") if answer is None else answer[0], ha="center", va="center",
                      color=style.GREY if answer is None else style.BLACK)
    axes.set_xlim(-0.5, len(shown) - 0.5)
    axes.set_ylim(5.5, -1)
    return page.fig
