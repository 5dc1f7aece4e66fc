# SPDX-License-Identifier: MIT
"""The models of the echo server compared: four pictures.

How many requests each serves with how many connections, how long requests take at a load that all
can serve, what a request and a connection cost, and the ranks on the four criteria.
"""
import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator

from . import style

RESAMPLES = 1000


def draw(result):
    """The pictures by what is added to their names."""
    pictures = {"": rates, "-latency": latency, "-costs": costs, "-ideal": ideal}
    drawn = {suffix: picture(result) for suffix, picture in pictures.items()}
    return {suffix: figure for suffix, figure in drawn.items() if figure}


def of(result, scenario):
    return [sample for sample in result.samples if sample.get("scenario") == scenario]


def by(samples, *fields):
    """The samples by the values of these fields."""
    found = {}
    for sample in samples:
        found.setdefault(tuple(sample[field] for field in fields), []).append(sample)
    return found


def per_second(samples):
    return np.array([s["in_window"] * 1e9 / s["elapsed_ns"] for s in samples])


def interval(values):
    """95 % of the medians of resamples; the same ones each time."""
    draws = np.random.default_rng(1).choice(values, (RESAMPLES, len(values)))
    return np.quantile(np.median(draws, axis=1), (0.025, 0.975))


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


def models_of(result, samples):
    """In the order of the run."""
    there = {sample["variant"] for sample in samples}
    return [name for name in result.run.get("variants", sorted(there)) if name in there]


# --- throughput -----------------------------------------------------------------------------------

def rates(result):
    samples = of(result, "loaded")
    models = models_of(result, samples)
    sizes = sorted({s["size_bytes"] for s in samples})
    groups = by(samples, "variant", "size_bytes", "connections")
    medians = {key: np.median(per_second(group)) for key, group in groups.items()}
    best = max(medians, key=medians.get)
    page = style.Page(
        result, f"{best[0]} serves the most: {medians[best]:,.0f} requests/s of "
        f"{style.bytes_of(best[1])} with {best[2]:,} connection{'s' * (best[2] != 1)}",
        "Median and 95 % interval of the rounds. Limits of the smallest size: ping-pong, two "
        "processes and one message (dashed); bulk, many messages under way (dotted).")
    limits = [s for s in of(result, "limits") if s["size_bytes"] == sizes[0]]
    counts = sorted({s["connections"] for s in samples})
    for _, name, axes in panels(page, models, left=0.075, above=0.085, below=0.085):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(counts, [f"{n:,}" if n < 1000 else f"{n // 1000}k" for n in counts])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v / 1000:,g}k"))
        for kind, dash in (("pingpong", (0, (5, 3))), ("bulk", (0, (1, 2)))):
            if limits:
                rate = np.median([s[f"{kind}_requests"] * 1e9 / s[f"{kind}_elapsed_ns"]
                                  for s in limits])
                axes.axhline(rate, color=style.GREY, linestyle=dash, linewidth=1)
        for size, (colour, marker) in zip(sizes, style.CYCLE):
            at = [n for n in counts if (name, size, n) in groups]
            if not at:
                continue
            middle = np.array([medians[name, size, n] for n in at])
            ends = np.array([interval(per_second(groups[name, size, n])) for n in at]).T
            axes.errorbar(at, middle, yerr=np.abs(ends - middle), fmt=f"{marker}-", color=colour,
                          markersize=4.5, linewidth=1.4, capsize=2.5, label=style.bytes_of(size))
    handles, labels = page.fig.axes[0].get_legend_handles_labels()
    page.fig.legend(handles, labels, loc="upper right", ncols=len(sizes), frameon=False,
                    bbox_to_anchor=(style.RIGHT, page.top), fontsize=style.BODY)
    common_labels(page, "connections", "requests a second (log)")
    return page.fig


# --- latency --------------------------------------------------------------------------------------

def latency(result):
    curves = by(result.kinds.get("curve", []), "variant")
    if not curves:
        return None
    models = [name for name in result.run["variants"] if (name,) in curves]
    opened = of(result, "open")
    late = {name: np.median(style.column([s for s in opened if s["variant"] == name], "p99_ns"))
            for name in models}
    low, high = min(late, key=late.get), max(late, key=late.get)
    page = style.Page(
        result, f"At {opened[0]['rate']:,} requests/s p99 is {style.time_of(late[low])} with {low} "
        f"and {style.time_of(late[high])} with {high}",
        f"Open loop, half of what the slowest can do, {opened[0]['connections']} connections: "
        "latency counts from when a request was due. A line is a round; grey: all other models.")
    ends = [1e6 / curve["beyond_ppm"][-2] for group in curves.values() for curve in group
            if len(curve["beyond_ppm"]) > 1 and curve["beyond_ppm"][-2] > 0]
    for at, name, axes in panels(page, models, left=0.085, above=0.05, below=0.085):
        axes.set_xscale("log")
        axes.set_yscale("log")
        for (other,), group in curves.items():
            for curve in group:
                tail = np.array(curve["beyond_ppm"], dtype=float)
                shown = (tail <= 5e5) & (tail > 0)
                mine = other == name
                axes.plot(1e6 / tail[shown], np.array(curve["at_most_ns"])[shown],
                          color=style.CYCLE[at % len(style.CYCLE)][0] if mine else style.PALE,
                          linewidth=1.6 if mine else 0.8, zorder=3 if mine else 1)
        axes.set_xlim(2, min(max(ends, default=1e4), 1e5))
        axes.xaxis.set_major_locator(FixedLocator([2, 10, 100, 1000, 10000]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{100 - 100 / n:.6g}"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda ns, _: style.time_of(ns)))
        axes.minorticks_off()
    common_labels(page, "percentile", "latency at most (log)")
    return page.fig


# --- what a request and a connection cost ---------------------------------------------------------

def held_bytes(samples):
    """Of each round: bytes of a connection beyond the first, in user space and in the kernel."""
    found = []
    for _, pair in sorted(by(samples, "trial").items()):
        one, many = (end(pair, key=lambda s: s["connections"]) for end in (min, max))
        more = many["connections"] - one["connections"]
        if more:
            found.append(max(sum(many[part] - one[part] for part in (
                "anonymous_bytes", "page_table_bytes", "kernel_stack_bytes")) / more, 1))
    return np.array(found)


def middle_of(samples):
    """The number of connections that requests are compared at."""
    counts = {s["connections"] for s in samples}
    return max((n for n in counts if n <= 128), default=min(counts))


def costs(result):
    loaded = of(result, "loaded")
    middle, size = middle_of(loaded), min(s["size_bytes"] for s in loaded)
    loaded = [s for s in loaded if s["connections"] == middle and s["size_bytes"] == size
              and "server_cpu_ns" in s]
    models = models_of(result, loaded)
    if not models:
        return None
    each = {name: [s for s in loaded if s["variant"] == name] for name in models}
    cpu = {name: np.array([s["server_cpu_ns"] / max(s["requests"], 1) for s in group])
           for name, group in each.items()}
    sleeps = {name: np.array([max((s["voluntary_switches"] + s["involuntary_switches"])
                                  / max(s["requests"], 1), 1e-4) for s in group])
              for name, group in each.items()}
    memory = {name: held_bytes([s for s in of(result, "memory") if s["variant"] == name])
              for name in models}
    models.sort(key=lambda name: np.median(cpu[name]))
    page = style.Page(
        result, f"CPU time a request: {style.time_of(np.median(cpu[models[0]]))} of {models[0]}, "
        f"{style.time_of(np.median(cpu[models[-1]]))} of {models[-1]}",
        f"{middle:,} connections of {style.bytes_of(size)}, and memory of connections that are "
        "only held. A dot is a round, a bar the median.")
    grid = page.grid(1, 3, left=0.15, above=0.07, below=0.1, wspace=0.32, right=0.93)
    for at, (values, title, label, words, ticks) in enumerate((
            (cpu, "CPU a request", "of the server (log)", style.time_of,
             LogLocator(subs=(1, 2, 5), numticks=4)),
            (sleeps, "Context switches a request", "of all threads (log)",
             lambda n: style.figures(n, 2), FixedLocator([1e-4, 1e-2, 1])),
            (memory, "Memory a connection", "with kernel stacks (log)", style.bytes_of,
             FixedLocator([1, 64, 4096, 1 << 18])))):
        axes = page.fig.add_subplot(grid[at])
        style.rows_of(axes, models if at == 0 else [""] * len(models))
        axes.set_title(title)
        axes.set_xlabel(label)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(ticks)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _, words=words: words(n)))
        axes.tick_params(axis="x", labelsize=style.CAPTION)
        axes.minorticks_off()
        for row, name in enumerate(models):
            if len(values[name]):
                style.dots(axes, values[name], row, *style.CYCLE[row % len(style.CYCLE)])
                style.median_bar(axes, values[name], row)
                axes.text(1.02, row, words(np.median(values[name])), va="center",
                          size=style.CAPTION, transform=axes.get_yaxis_transform())
    return page.fig


# --- the ranks ------------------------------------------------------------------------------------

COLUMNS = (("sleeps", "blocks\nsleeps a request", "{:,.2f}".format),
           ("overlap", "overlaps\nrequests a round trip", "{:,.1f}".format),
           ("threads", "threads", "{:,.0f}".format), ("cpu_ns", "CPU\na request", style.time_of),
           ("memory_bytes", "memory\na connection", style.bytes_of))


def ideal(result):
    ranks = result.kinds.get("rank", [])
    if len(ranks) < 2:
        return None
    verdict = result.verdicts.get("srv-ideal", {}).get("sentence", "the four criteria")
    page = style.Page(result, f"The ideal server: {verdict}",
                      "In each cell the median, and the rank among the models, shared by those whose "
                      "95 % intervals are within a tenth (or 0.1 sleeps or requests, 0.1 µs, "
                      "0.1 KiB). Sum: CPU and memory are one criterion.")
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.13, above=0.09, below=0.02)[0])
    values = [[row[f"{name}_rank"] for name, _, _ in COLUMNS] + [np.nan] for row in ranks]
    words = [[f"{form(row[name])}   ({row[f'{name}_rank']})" for name, _, form in COLUMNS]
             + [f"{row['rank_sum']:g}"] for row in ranks]
    style.heat(axes, values, words, [row["variant"] for row in ranks],
               [heading for _, heading, _ in COLUMNS] + ["sum of\nranks"])
    axes.xaxis.tick_top()
    return page.fig
