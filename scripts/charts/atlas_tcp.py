# SPDX-License-Identifier: MIT
"""What TCP's two buffers held together, and how well that was told beforehand."""
import numpy as np

from language import MESSAGE, say, translated
from . import style

NAMES = {"tcp": MESSAGE("TCP, loopback"), "tcp-veth": MESSAGE("TCP, Ethernet frames")}
TITLES = {
    ("tcp",): MESSAGE("What TCP's buffers will hold can be told beforehand to {tcp} on loopback"),
    ("tcp-veth",): MESSAGE("What TCP's buffers will hold can be told beforehand to {tcp_veth} with Ethernet's frames"),
    ("tcp", "tcp-veth"): MESSAGE("What TCP's buffers will hold can be told beforehand to {tcp} on loopback "
                                 "and {tcp_veth} with Ethernet's frames"),
}
# of rows with a peer
FAR_NAME = MESSAGE("TCP, two hosts")
FAR_TITLE = MESSAGE("What TCP's buffers will hold between two hosts can be told beforehand to {tcp}")
FLOOR = 1e-4  # a smaller error is drawn as this


def errors(samples):
    """Predicted against held, as a share of what was held."""
    held = style.column(samples, "held_bytes")
    return np.abs(style.column(samples, "predicted_bytes") - held) / np.maximum(held, 1)


def name_of(result, kind):
    name = FAR_NAME if "peer" in result.run else NAMES.get(kind, kind)
    return translated(name)


def title_of(result, kinds):
    off = {kind.replace("-", "_"): percent(np.median(errors(samples))) for kind, samples in kinds.items()}
    title = FAR_TITLE if "peer" in result.run else TITLES[tuple(kinds)]
    return say(title, **off)


def percent(share):
    return f"{style.figures(share * 100, 2)} %"


def note_of(samples):
    ratios = style.column(samples, "held_bytes") / style.column(samples, "capacity_bytes")
    return say("Buffers held {least} to {most} times what was granted. Maps: the bytes held, and below how far the "
               "prediction was off (the median of all writes and trials).",
               least=style.figures(ratios.min(), 2), most=style.figures(ratios.max(), 2))


def cells(samples):
    """The samples of each pair of sizes asked for."""
    found = {}
    for sample in samples:
        key = sample["asked_sndbuf_bytes"], sample["asked_rcvbuf_bytes"]
        found.setdefault(key, []).append(sample)
    return found


def size_labels(samples, side):
    granted = {s[f"asked_{side}buf_bytes"]: s[f"granted_{side}buf_bytes"] for s in samples}
    return {asked: f"{style.bytes_of(asked)}\n({style.bytes_of(granted[asked])})"
            for asked in sorted(granted)}


def draw_map(axes, samples, scale):
    by_size = cells(samples)
    snd, rcv = size_labels(samples, "snd"), size_labels(samples, "rcv")
    values, words = [], []
    for s in snd:
        found = [by_size.get((s, r), []) for r in rcv]
        held = [np.median(style.column(cell, "held_bytes")) if cell else np.nan for cell in found]
        values.append(held)
        words.append([f"{style.bytes_of(h)}\n±{percent(np.median(errors(cell)))}" if cell else ""
                      for h, cell in zip(held, found)])
    style.heat(axes, values, words, list(snd.values()), list(rcv.values()), scale)
    axes.set_xlabel(translated("receive buffer asked for (granted)"))


def draw_errors(axes, result, kinds):
    """All predictions of each kind, one dot a cell and trial."""
    style.rows_of(axes, [name_of(result, kind) for kind in kinds])
    axes.set_xscale("log")
    for at, (kind, samples) in enumerate(kinds.items()):
        off = np.maximum(errors(samples), FLOOR)
        style.dots(axes, off, at, *style.CYCLE[at % len(style.CYCLE)])
        style.beside(axes, at, say("90 % within {error}", error=percent(np.quantile(off, 0.9))))
    axes.set_xlim(FLOOR / 1.5, 1)
    axes.set_xticks([FLOOR, 1e-3, 1e-2, 1e-1, 1], [translated("exact"), "0.1 %", "1 %", "10 %", "100 %"])
    axes.minorticks_off()
    axes.set_xlabel(translated("error of the prediction"))


def draw(result):
    kinds = style.of_variants(result.samples, *NAMES)
    page = style.Page(result, title_of(result, kinds), note_of(result.samples))
    held = style.column(result.samples, "held_bytes")
    grid = page.grid(1, len(kinds), left=0.1, above=0.06, below=0.3, wspace=0.04)
    for place, (kind, samples) in enumerate(kinds.items()):
        axes = page.fig.add_subplot(grid[place])
        axes.set_title(name_of(result, kind))
        draw_map(axes, samples, (held.min(), held.max()))
        axes.tick_params(labelleft=place == 0)
        if place == 0:
            axes.set_ylabel(translated("send buffer asked for (granted)"))
    draw_errors(page.fig.add_axes([0.205, page.bottom + 0.09, 0.625, 0.1]), result, kinds)
    return page.fig
