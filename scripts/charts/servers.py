# SPDX-License-Identifier: MIT
"""What the charts of the echo servers share: figures a request, panels side by side, small panels."""
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from language import say

from . import style

RESAMPLES = 1000


def of_run(result, samples):
    """The samples of each variant that has any, in the order of the run."""
    there = {sample["variant"] for sample in samples}
    return style.of_variants(samples, *[name for name in result.run["variants"] if name in there])


def each(samples, field, of):
    """A field by another one, such as CPU time by requests."""
    return np.array([s[field] / s[of] for s in samples if s.get(of) and field in s])


def rate(samples):
    """Requests a second."""
    return each(samples, "in_window", "elapsed_ns") * 1e9


def cpu(samples):
    """The server's CPU time a request, in ns."""
    return each(samples, "server_cpu_ns", "requests")


def memory(samples):
    """Its memory a connection, in bytes."""
    return each(samples, "memory_bytes", "more_connections")


def interval(values):
    """95 % of the medians of resamples; the same ones each time."""
    draws = np.random.default_rng(1).choice(values, (RESAMPLES, len(values)))
    return np.quantile(np.median(draws, axis=1), (0.025, 0.975))


def log_ticks(axis, values, words):
    """A logarithmic axis with few ticks, between powers of ten too where there are hardly any."""
    axis.axes.set_xscale("log") if axis.axis_name == "x" else axis.axes.set_yscale("log")
    factor = max(values) / min(values) if len(values) else 1
    axis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]) if factor < 10 else
                           LogLocator(subs=(1, 2, 5) if factor < 100 else (1,), numticks=4))
    axis.set_major_formatter(FuncFormatter(lambda n, _: words(n)))
    axis.set_tick_params(labelsize=style.CAPTION)
    axis.axes.minorticks_off()


def side_by_side(page, names, columns):
    """A row a name; for each column (title, label, {name: values}, words) a panel of dots.

    All on a logarithmic scale, with the median in words beside.
    """
    grid = page.grid(1, len(columns), left=0.15, above=0.07, below=0.1, wspace=0.34, right=0.93)
    for at, (title, label, values, words) in enumerate(columns):
        axes = page.fig.add_subplot(grid[at])
        style.rows_of(axes, names if at == 0 else [""] * len(names))
        axes.set_title(title)
        axes.set_xlabel(say("{label} (log)", label=label))
        everything = np.concatenate([*values.values(), []])
        log_ticks(axes.xaxis, everything[everything > 0], words)
        for row, name in enumerate(names):
            shown = values[name][values[name] > 0]
            if len(shown):
                style.dots(axes, shown, row, *style.CYCLE[row % len(style.CYCLE)])
                style.median_bar(axes, shown, row)
            if len(values[name]):
                axes.text(1.02, row, words(np.median(values[name])), va="center",
                          size=style.CAPTION, transform=axes.get_yaxis_transform())


def panels(page, names, **how):
    """A small panel each, with common axes; the first of a row and the last row have labels."""
    columns = min(len(names), 5 if len(names) > 8 else 4)
    lines = -(-len(names) // columns)
    grid = page.grid(lines, columns, hspace=0.42, wspace=0.1, **how)
    first = None
    for at, name in enumerate(names):
        axes = page.fig.add_subplot(grid[at], sharex=first, sharey=first)
        first = first or axes
        axes.set_title(name, pad=3)
        axes.tick_params(labelleft=at % columns == 0, labelbottom=at + columns >= len(names),
                         labelsize=style.CAPTION)
        yield at, name, axes


def common_labels(page, below, left):
    page.fig.text(0.53, page.bottom + 0.02, below, ha="center", va="bottom")
    page.fig.text(0.012, (page.bottom + page.top) / 2, left, rotation=90, va="center")
