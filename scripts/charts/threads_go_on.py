# SPDX-License-Identifier: MIT
"""Whom a blocking call stops: other threads count on."""
import numpy as np

from language import MESSAGE, say, translated

from . import style

CALLS = {"nobody": MESSAGE("nobody else"), "spins": MESSAGE("a thread that spins"), "recv": "recv",
         "accept": "accept", "sleep": "clock_nanosleep", "futex": MESSAGE("a futex wait")}
MOST = 2  # times that are drawn: what is more was another program's noise


def ratios(samples):
    """How far the one on the same CPU got, times as far as without that thread next to it."""
    counts, alone = (style.column(samples, f"{which}same_cpu_counts") for which in ("", "alone_"))
    return counts / alone


def aside(axes, at, text):
    axes.text(1.015, at, text, va="center", size=style.CAPTION + 0.5, linespacing=1.05,
              transform=axes.get_yaxis_transform())


def draw_threads(axes, shown):
    style.rows_of(axes, [translated(CALLS[name]) for name in shown])
    axes.axvline(1, color=style.GREY, linestyle=":")
    for at, (name, samples) in enumerate(shown.items()):
        times = ratios(samples)
        if not times.size:
            continue
        colour = style.RED if name == "spins" else style.BLUE
        style.dots(axes, np.minimum(times, MOST), at, colour, "s" if name == "spins" else "o")
        style.median_bar(axes, np.minimum(times, MOST), at)
        if name == "nobody":
            aside(axes, at, say("{times:.2f} times", times=np.median(times)))
            continue
        looks, asleep = (style.column(samples, field).sum() for field in ("looks", "asleep_looks"))
        had = np.median(style.column(samples, "blocked_cpu_ns"))
        aside(axes, at, say("{times:.2f} times; {had} of CPU\nasleep in {asleep} of {looks} looks",
                            times=np.median(times), had=style.time_of(had), asleep=asleep, looks=looks))
    axes.set_xlim(0, MOST * 1.02)
    axes.set_title(translated("A thread that counts on a CPU, while one thread more is on it, in ..."))
    axes.set_xlabel(say("how far it gets, times as far as without it just before or after (at most {most})", most=MOST))


def title_of(threads):
    blocked = [ratios(samples) for name, samples in threads.items()
               if name not in ("nobody", "spins")]
    if not blocked or not np.concatenate(blocked).size:
        return translated("Whom does a blocking call stop?")
    return say("With a thread blocked, the other one on its CPU gets {times:.2f} times as far",
               times=np.median(np.concatenate(blocked)))


def draw(result):
    samples = style.of_variants(result.samples, *CALLS)
    threads = {name: samples[name] for name in CALLS if name in samples}
    page = style.Page(result, title_of(threads), translated("A dot is a pair of windows, a bar the median."))
    draw_threads(page.fig.add_subplot(page.grid(1, 1, left=0.155, right=0.785, above=0.07)[0]),
                 threads)
    return page.fig
