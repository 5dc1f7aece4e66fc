# SPDX-License-Identifier: MIT
"""One request by TCP, UDP and AF_UNIX, with and without a set-up: time and CPU time."""
import numpy as np

from language import MESSAGE, say, translated

from . import style

IS = {
    "tcp-new": MESSAGE("new TCP connection"),
    "tcp-kept": MESSAGE("kept TCP connection"),
    "udp": "UDP",
    "udp-connected": MESSAGE("UDP, connected"),
    "unix-new": MESSAGE("new AF_UNIX stream"),
    "unix-kept": MESSAGE("kept AF_UNIX stream"),
    "unix-dgram": MESSAGE("AF_UNIX datagrams"),
}
TOLD = (  # by place: alone, and after the other one
    ("one",
     MESSAGE("On one CPU a new TCP connection takes {new:.2f} times as long as UDP, a kept one {kept:.2f} times"), ""),
    ("two",
     MESSAGE("On two CPUs a new TCP connection takes {new:.2f} times as long as UDP, a kept one {kept:.2f} times"),
     MESSAGE("on two {new:.2f} and {kept:.2f} times")))
NEW, KEPT, DATAGRAM = (style.RED, "s"), (style.BLUE, "o"), (style.GREEN, "^")
ONE = "-1cpu"
US = 1e3


def look_of(way):
    return NEW if way.endswith("-new") else KEPT if way.endswith("-kept") else DATAGRAM


def by_place(result):
    """The samples by way, on one CPU and on two."""
    places = {}
    for one in (True, False):
        samples = [s for s in result.samples if s["variant"].endswith(ONE) == one]
        if samples:
            ways = style.of_variants(samples, *(way + ONE * one for way in IS))
            places[one] = {name.removesuffix(ONE): rows for name, rows in ways.items()}
    return places


def title_of(result):
    told = []
    for place, alone, more in TOLD:
        new, kept = (result.number("tcp-udp-setup", name)
                     for name in (f"{place}.mid", f"{place}_kept.mid"))
        if new and kept:
            told.append(say(more if told else alone, new=new, kept=kept))
    return "; ".join(told) or translated("One request and its answer")


def draw_place(axes, ways, one, field, requests):
    for at, (way, samples) in enumerate(ways.items()):
        values = style.column(samples, field) / US
        if field == "cpu_ns":
            values = values / style.column(samples, "requests")
        style.dots(axes, values, at, *look_of(way))
        style.median_bar(axes, values, at)
        style.beside(axes, at, style.time_of(np.median(values) * US))
        if field == "p50_ns" and requests.get(way):
            axes.plot(np.quantile(requests[way], [0.05, 0.95]) / US, [at, at], color=style.PALE,
                      linewidth=7, solid_capstyle="butt", zorder=1)
    medians = [np.median(style.column(rows, "p50_ns")) for rows in ways.values()]
    axes.set_xlim(0, 2 * max(medians) / US if field == "p50_ns" else None)
    if field == "p50_ns":
        axes.set_title(translated("Both threads on one CPU") if one else
                       translated("A thread a CPU, where there are two"))


def draw(result):
    places = by_place(result)
    page = style.Page(
        result, title_of(result),
        say("{size} to another thread and back, on loopback. A dot is a trial's median, a bar the median of these; "
            "pale: the middle 90 % of the requests. CPU time is of both sides and with closing, for one request.",
            size=style.bytes_of(result.run["params"]["size_bytes"])))
    grid = page.grid(len(places), 2, left=0.17, right=0.92, wspace=0.22, hspace=0.45)
    for row, (one, ways) in enumerate(places.items()):
        requests = {}
        for request in result.kinds.get("request", []):
            if request["variant"].endswith(ONE) == one:
                requests.setdefault(request["variant"].removesuffix(ONE), []).append(
                    request["latency_ns"])
        for column, field in enumerate(("p50_ns", "cpu_ns")):
            axes = page.fig.add_subplot(grid[row, column])
            style.rows_of(axes, [translated(IS.get(way, way)) for way in ways] if column == 0
                          else [""] * len(ways))
            draw_place(axes, ways, one, field, requests)
            axes.set_xlabel(translated("until the answer is there (µs)") if column == 0
                            else translated("CPU time (µs)"))
    return page.fig
