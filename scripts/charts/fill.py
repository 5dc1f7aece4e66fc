# SPDX-License-Identifier: MIT
"""Buffer sizes: what was asked for, what the kernel granted, and what then fitted in."""
import numpy as np

from language import MESSAGE, say, translated
from . import style

KINDS = {  # whose buffer the kernel charges with what is held: the other one's size does not matter
    "tcp": ("TCP", ("snd", "rcv")),
    "unix-stream": (MESSAGE("AF_UNIX stream"), ("snd",)),
    "unix-dgram": (MESSAGE("AF_UNIX datagrams"), ("snd",)),
    "udp": ("UDP", ("rcv",)),
    "pipe": (MESSAGE("pipe"), ("snd",)),
}
ASKED = (MESSAGE("asked for"), style.GREY, "_", 11)
GRANTED = {"snd": (MESSAGE("granted to the sender"), style.BLUE, "^", 7),
           "rcv": (MESSAGE("granted to the receiver"), style.GREEN, "v", 7)}
HELD = (MESSAGE("held: what fitted in"), style.RED, "o", 7)
COLUMNS = 3


def ratios(samples):
    """Bytes held for each byte granted, in every trial."""
    return style.column(samples, "drained_bytes") / style.column(samples, "capacity_bytes")


def cells(result):
    """The samples by kind, then by the size asked for."""
    found = {kind: {} for kind in KINDS}
    for sample in result.samples:
        by_size = found.setdefault(sample["kind"], {})
        by_size.setdefault(sample["asked_bytes"], []).append(sample)
    return {kind: dict(sorted(by_size.items())) for kind, by_size in found.items() if by_size}


def size_name(asked):
    return style.bytes_of(asked) if asked else translated("default")


def name_of(kind):
    return translated(KINDS.get(kind, (kind, ()))[0])


def title_of(kinds):
    held = {f"{name_of(kind)}, {size_name(asked)}": np.median(ratios(samples))
            for kind, sizes in kinds.items() for asked, samples in sizes.items()}
    least, most = min(held, key=held.get), max(held, key=held.get)
    if f"{held[least]:.2f}" == f"{held[most]:.2f}":
        return say("For each byte granted, a buffer held {bytes:.2f} bytes", bytes=held[most])
    return say("For each byte granted, a buffer held {least:.2f} ({least_kind}) to {most:.2f} bytes ({most_kind})",
               least=held[least], least_kind=least, most=held[most], most_kind=most)


def note_of(result, kinds):
    params = result.run["params"]
    note = say("The sender writes {size} at a time (datagrams: {datagram}), nobody reads. A dot is a trial.",
               size=style.bytes_of(params["write_bytes"]), datagram=style.bytes_of(params["datagram_bytes"]))
    grown = kinds.get("tcp", {}).get(0, [])
    before = style.column(grown, "granted_sndbuf_bytes")
    after = style.column(grown, "grown_sndbuf_bytes")
    if len(grown) and np.median(after) > np.median(before):
        note += " " + say("TCP's default send buffer grew by itself meanwhile, from {before} to {after}.",
                          before=style.bytes_of(np.median(before)), after=style.bytes_of(np.median(after)))
    return note


def mark(axes, at, values, look):
    _, colour, marker, size = look
    axes.plot(at + style.jitter(len(values), 0.12), values, marker, color=colour, markersize=size,
              linestyle="none", alpha=0.7, markeredgewidth=2 if marker == "_" else 0)


def draw_size(axes, at, kind, asked, samples):
    """What became of one size: asked for on the left, granted in the middle, held on the right."""
    held = style.column(samples, "drained_bytes")
    top = np.median(held)
    for side in KINDS.get(kind, ("", ("snd", "rcv")))[1]:
        granted = np.unique(style.column(samples, f"granted_{side}buf_bytes"))
        path = [(at, np.median(granted)), (at + 0.27, np.median(held))]
        if asked:
            path.insert(0, (at - 0.27, asked))
        axes.plot(*zip(*path), color=style.GREY, linewidth=1, zorder=1)
        mark(axes, at, granted, GRANTED[side])
        top = max(top, path[-2][1])
    if asked:
        mark(axes, at - 0.27, [asked], ASKED)
    mark(axes, at + 0.27, held, HELD)
    axes.annotate(f"×{np.median(ratios(samples)):.2f}", (at, top), (0, 9), ha="center",
                  textcoords="offset points", color=HELD[1])


def draw_kind(axes, kind, sizes):
    axes.set_title(name_of(kind))
    for at, (asked, samples) in enumerate(sizes.items()):
        draw_size(axes, at, kind, asked, samples)
    axes.set_xticks(range(len(sizes)), [size_name(asked) for asked in sizes])
    axes.set_xlim(-0.6, len(sizes) - 0.4)
    axes.grid(False, axis="x")


def draw_key(axes):
    """The one legend: the marks as in the panels, each with its words."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(4.6, -0.6)
    for at, look in enumerate((ASKED, *GRANTED.values(), HELD)):
        mark(axes, 0.08, [at], look)
        axes.text(0.18, at, translated(look[0]), va="center", color=look[1])
    axes.text(0.08, 4, "×", va="center", ha="center", color=style.RED)
    axes.text(0.18, 4, translated("bytes held for a byte granted"), va="center", color=style.RED)


def draw(result):
    kinds = cells(result)
    page = style.Page(result, title_of(kinds), note_of(result, kinds))
    rows = -(-(len(kinds) + 1) // COLUMNS)
    grid = page.grid(rows, COLUMNS, left=0.1, hspace=0.42, wspace=0.1)
    first = None
    for place, (kind, sizes) in enumerate(kinds.items()):
        axes = page.fig.add_subplot(grid[place], sharey=first)
        first = first or axes
        draw_kind(axes, kind, sizes)
        axes.tick_params(labelleft=place % COLUMNS == 0)
        if place % COLUMNS == 0:
            axes.set_ylabel(translated("bytes"))
        if place + COLUMNS >= len(kinds):
            axes.set_xlabel(translated("buffer size asked for"))
    first.set_yscale("log", base=2)
    low, high = first.get_ylim()
    ticks = [4 ** n for n in range(32) if low <= 4 ** n <= high and n % 2]
    first.set_yticks(ticks, [style.bytes_of(tick) for tick in ticks])
    first.set_ylim(low, high * 3)
    draw_key(page.fig.add_subplot(grid[len(kinds)]))
    return page.fig
