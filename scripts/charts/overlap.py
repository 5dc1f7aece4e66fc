# SPDX-License-Identifier: MIT
"""Other work beside I/O: a timer's tick while a client is silent, a request while the server computes."""
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator

from language import MESSAGE, say, translated

from . import servers, style

PANELS = (("tick_done", "tick_ns", MESSAGE("A tick while a client is silent"),
           MESSAGE("from when it was due to its end (log)")),
          ("answered", "request_ns", MESSAGE("A request while the server computes"),
           MESSAGE("from the request to its answer (log)")))


def title_of(result):
    if result.verdict("srv-overlap") == "depends":
        return translated("Event loops do a timer's work beside I/O, but answer nobody while they compute; "
                          "threads and processes do both")
    if result.verdict("srv-overlap") == "holds":
        return translated("All servers do other work while they do I/O")
    return translated("Other work of a server, and its I/O")


def draw_panel(axes, variants, done, ns):
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: style.time_of(value)))
    axes.minorticks_off()
    for at, samples in enumerate(variants.values()):
        samples = [s for s in samples if done in s]
        for meanwhile, look in ((0, (style.RED, "s")), (1, (style.BLUE, "o"))):
            some = [s for s in samples if s[done] == meanwhile]
            if some:
                style.dots(axes, style.column(some, ns), at, *look)
        if samples:
            values = style.column(samples, ns)
            style.median_bar(axes, values, at)
            axes.text(1.02, at, style.time_of(np.median(values)), va="center", size=style.CAPTION,
                      transform=axes.get_yaxis_transform())


def draw(result):
    variants = servers.of_run(result, result.all_samples)
    work = style.time_of(result.run["params"]["work_ms"] * 1e6)
    page = style.Page(
        result, title_of(result),
        say("A dot is a trial. Blue dots: done while the client was there and silent, answered before the "
            "computation of {work} of CPU time had ended; red squares: only afterwards.", work=work))
    grid = page.grid(1, 2, left=0.11, right=0.93, above=0.07, wspace=0.3)
    for at, (done, ns, title, label) in enumerate(PANELS):
        axes = page.fig.add_subplot(grid[at])
        style.rows_of(axes, list(variants) if at == 0 else [""] * len(variants))
        axes.set_title(translated(title))
        axes.set_xlabel(translated(label))
        draw_panel(axes, variants, done, ns)
    return page.fig
