# SPDX-License-Identifier: MIT
"""Buffer sizes: what was asked for, what the kernel granted, and what then fitted in."""
import numpy as np

from . import style

KINDS = {  # whose buffer the kernel charges with what is held: the other one's size does not matter
    "tcp": ("TCP", ("snd", "rcv")),
    "unix-stream": ("AF_UNIX stream", ("snd",)),
    "unix-dgram": ("AF_UNIX datagrams", ("snd",)),
    "udp": ("UDP", ("rcv",)),
    "pipe": ("pipe", ("snd",)),
}
ASKED = ("asked for", style.GREY, "_", 11)
GRANTED = {"snd": ("granted to the sender", style.BLUE, "^", 7),
           "rcv": ("granted to the receiver", style.GREEN, "v", 7)}
HELD = ("held: what fitted in", style.RED, "o", 7)
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
    return style.bytes_of(asked) if asked else "default"


def name_of(kind):
    return KINDS.get(kind, (kind, ()))[0]


def title_of(kinds):
    held = {f"{name_of(kind)}, {size_name(asked)}": np.median(ratios(samples))
            for kind, sizes in kinds.items() for asked, samples in sizes.items()}
    least, most = min(held, key=held.get), max(held, key=held.get)
    if f"{held[least]:.2f}" == f"{held[most]:.2f}":
        return f"For each byte granted, a buffer held {held[most]:.2f} bytes"
    return (f"For each byte granted, a buffer held {held[least]:.2f} ({least}) to "
            f"{held[most]:.2f} bytes ({most})")


def note_of(result, kinds):
    params = result.run["params"]
    note = (f"The sender writes {style.bytes_of(params['write_bytes'])} at a time (datagrams: "
            f"{style.bytes_of(params['datagram_bytes'])}), nobody reads. A dot is a trial.")
    grown = kinds.get("tcp", {}).get(0, [])
    before = style.column(grown, "granted_sndbuf_bytes")
    after = style.column(grown, "grown_sndbuf_bytes")
    if len(grown) and np.median(after) > np.median(before):
        note += (" TCP's default send buffer grew by itself meanwhile, from "
                 f"{style.bytes_of(np.median(before))} to {style.bytes_of(np.median(after))}.")
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
        axes.text(0.18, at, look[0], va="center", color=look[1])
    axes.text(0.08, 4, "×", va="center", ha="center", color=style.RED)
    axes.text(0.18, 4, "bytes held for a byte granted", va="center", color=style.RED)


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
            axes.set_ylabel("bytes")
        if place + COLUMNS >= len(kinds):
            axes.set_xlabel("buffer size asked for")
    first.set_yscale("log", base=2)
    low, high = first.get_ylim()
    ticks = [4 ** n for n in range(32) if low <= 4 ** n <= high and n % 2]
    first.set_yticks(ticks, [style.bytes_of(tick) for tick in ticks])
    first.set_ylim(low, high * 3)
    draw_key(page.fig.add_subplot(grid[len(kinds)]))
    return page.fig
