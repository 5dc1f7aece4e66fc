# SPDX-License-Identifier: MIT
"""Many connections: how many requests each model answers with how many of them."""
import numpy as np
from matplotlib.ticker import FuncFormatter

from language import MESSAGE, say, translated

from . import servers, style


def by(samples, *fields):
    """The samples by the values of these fields."""
    found = {}
    for sample in samples:
        found.setdefault(tuple(sample[field] for field in fields), []).append(sample)
    return found


def title_of(result, medians):
    if not medians:
        return translated("A crowd of connections")
    best = max(medians, key=medians.get)
    name, size, count = best
    return say(MESSAGE("{name} answers the most: {rate:,.0f} requests/s of {size} with {count:,} connection")
               if count == 1 else
               MESSAGE("{name} answers the most: {rate:,.0f} requests/s of {size} with {count:,} connections"),
               name=name, rate=medians[best], size=style.bytes_of(size), count=count)


def crowd_of(result):
    """What the verdict says, in short."""
    served = {name: result.number("srv-crowd", f"{name}.k") for name in ("one", "all")}
    if None in served.values():
        return ""
    trials = max(result.number("srv-crowd", "one.n") // max(result.run["params"]["crowd"], 1), 1)
    return " " + say("At a time one process served {one:,} connections of a crowd, several {all:,}.",
                     one=served["one"] // trials, all=served["all"] // trials)


def draw(result):
    samples = [s for s in result.samples if "connections" in s and s.get("requests")]
    variants = servers.of_run(result, samples)
    counts = sorted({s["connections"] for s in samples})
    sizes = sorted({s["size_bytes"] for s in samples})
    groups = by(samples, "variant", "size_bytes", "connections")
    medians = {key: np.median(servers.rate(group)) for key, group in groups.items()}
    page = style.Page(
        result, title_of(result, medians),
        translated("Medians of the trials. Limits of the smallest size: ping-pong, two processes and one message "
                   "(dashed); bulk, many messages under way (dotted).") + crowd_of(result))
    limits = [s for s in result.samples if "pingpong_requests" in s and s["size_bytes"] in sizes[:1]]
    for _, name, axes in servers.panels(page, list(variants), left=0.075, above=0.085, below=0.085):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(counts, [f"{n:,}" if n < 1000 else f"{n // 1000}k" for n in counts])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v / 1000:,g}k"))
        for kind, dash in (("pingpong", (0, (5, 3))), ("bulk", (0, (1, 2)))):
            if limits:
                rate = np.median(servers.each(limits, f"{kind}_requests", f"{kind}_elapsed_ns")) * 1e9
                axes.axhline(rate, color=style.GREY, linestyle=dash, linewidth=1)
        for size, (colour, marker) in zip(sizes, style.CYCLE):
            at = [n for n in counts if (name, size, n) in groups]
            middle = np.array([medians[name, size, n] for n in at])
            ends = np.array([servers.interval(servers.rate(groups[name, size, n])) for n in at])
            if at:
                axes.errorbar(at, middle, yerr=np.abs(ends.T - middle), fmt=f"{marker}-",
                              color=colour, markersize=4.5, linewidth=1.4, capsize=2.5,
                              label=style.bytes_of(size))
    if variants:
        handles, labels = page.fig.axes[0].get_legend_handles_labels()
        page.fig.legend(handles, labels, loc="upper right", ncols=len(sizes), frameon=False,
                        bbox_to_anchor=(style.RIGHT, page.top), fontsize=style.BODY)
    servers.common_labels(page, translated("connections"), translated("requests a second (log)"))
    return page.fig
