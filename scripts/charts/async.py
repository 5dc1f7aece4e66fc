# SPDX-License-Identifier: MIT
"""Asynchronous models against threads: CPU a request by connections, and memory a connection."""
import numpy as np

from language import say, translated

from . import servers, style


def title_of(result):
    verdict = result.verdict("srv-async-efficient")
    many = result.run["params"]["connections"]
    if verdict == "depends":
        return say("Asynchronous servers use less than threads with {many:,} connections, not with one", many=many)
    if verdict == "holds":
        return translated("Asynchronous servers use less than threads, with one connection and with many")
    return translated("CPU and memory of asynchronous servers and of threads")


def draw_cpu(axes, variants):
    counts = sorted({s["connections"] for samples in variants.values() for s in samples})
    axes.set_xscale("log")
    servers.log_ticks(axes.yaxis, [ns for s in variants.values() for ns in servers.cpu(s)],
                      style.time_of)
    axes.set_xticks(counts, [f"{n:,}" for n in counts])
    for (name, samples), (colour, marker) in zip(variants.items(), style.CYCLE):
        at = [n for n in counts if any(s["connections"] == n for s in samples)]
        values = [servers.cpu([s for s in samples if s["connections"] == n]) for n in at]
        middle = np.array([np.median(v) for v in values])
        ends = np.array([servers.interval(v) for v in values]).T
        axes.errorbar(at, middle, yerr=np.abs(ends - middle), fmt=f"{marker}-", color=colour,
                      capsize=2.5, linewidth=1.4, label=name)
    axes.set_xlabel(translated("connections"))
    axes.set_title(translated("CPU a request (log)"))
    axes.legend(frameon=False)


def draw_memory(axes, variants):
    style.rows_of(axes, list(variants))
    servers.log_ticks(axes.xaxis, [n for s in variants.values() for n in servers.memory(s)],
                      style.bytes_of)
    axes.set_title(translated("Memory a connection (log)"))
    for at, (samples, look) in enumerate(zip(variants.values(), style.CYCLE)):
        values = servers.memory(samples)
        if len(values):
            style.dots(axes, values, at, *look)
            style.median_bar(axes, values, at)
            style.beside(axes, at, style.bytes_of(np.median(values)))


def draw(result):
    variants = servers.of_run(result, [s for s in result.samples if s.get("requests")])
    page = style.Page(
        result, title_of(result),
        say("64 bytes a request, closed loops; memory of {held:,} connections that are only held. "
            "Medians of the trials with their 95 % interval.", held=result.run["params"]["held"]))
    grid = page.grid(1, 2, left=0.08, right=0.9, above=0.07, wspace=0.3)
    if variants:
        draw_cpu(page.fig.add_subplot(grid[0]), variants)
        draw_memory(page.fig.add_subplot(grid[1]), variants)
    return page.fig
