# SPDX-License-Identifier: MIT
"""The cliff: throughput by both buffer sizes, as it is and with immediate acknowledgements."""
import numpy as np

from language import say, translated
from . import style

VARIANTS = ("as-is", "quickack")


def speeds(result, variant):
    """The median speed in bytes a second, by the sizes asked for."""
    cells = {}
    for sample in result.samples:
        if sample["variant"] == variant:
            key = sample["asked_sndbuf_bytes"], sample["asked_rcvbuf_bytes"]
            speed = sample["moved_bytes"] * 1e9 / max(sample["elapsed_ns"], 1)
            cells.setdefault(key, []).append(speed)
    return {key: float(np.median(values)) for key, values in cells.items()}


def axes_of(result):
    """The sizes asked for, and each one's label with what was granted."""
    found = []
    for side in ("snd", "rcv"):
        granted = {s[f"asked_{side}buf_bytes"]: s[f"granted_{side}buf_bytes"]
                   for s in result.samples}
        found.append({asked: f"{style.bytes_of(asked)}\n({style.bytes_of(granted[asked])})"
                      for asked in sorted(granted)})
    return found


def steep_cells(result, cells):
    """Those that are much slower than one with a smaller receive buffer."""
    times = result.bound("steep_times")
    return [(snd, rcv) for (snd, rcv), speed in cells.items()
            if any(speed * times < other for (s, r), other in cells.items()
                   if s == snd and r < rcv)]


def title_of(result):
    verdict = result.verdict("buf-cliff")
    if verdict == "refuted":
        times, snd, rcv, smaller = (result.number("buf-cliff", name) for name in (
            "worst.mid", "sndbuf_bytes", "rcvbuf_bytes", "smaller_bytes"))
        return say("A bigger receive buffer can be {times} times slower: {size} instead of {smaller}, "
                   "with a send buffer of {send}", times=style.times(times), size=style.bytes_of(rcv),
                   smaller=style.bytes_of(smaller), send=style.bytes_of(snd))
    return (translated("A bigger receive buffer was never much slower") if verdict == "holds" else
            translated("Throughput by the sizes of both buffers"))


def note_of(result):
    slow = steep_cells(result, speeds(result, "as-is"))
    samples = [s for s in result.samples if s["variant"] == "as-is"
               and (s["asked_sndbuf_bytes"], s["asked_rcvbuf_bytes"]) in slow]
    note = say("TCP {where}, both sides as fast as they can: MB/s, the median of all trials.",
               where=style.where_of(result))
    pauses = sum(s["pauses"] for s in samples)
    if pauses:
        paused = sum(s["paused_ns"] for s in samples)
        share = paused / sum(s["elapsed_ns"] for s in samples)
        acks = sum(s["pause_acks"] for s in samples)
        note += " " + say("In the outlined cells nothing arrived for {share} of the time: {pauses:,} pauses of {time}, "
                          "with {acks:,} ACKs in them or at their end.", share=f"{share * 100:.0f} %", pauses=pauses,
                          time=style.time_of(paused / pauses), acks=acks)
    return note


def draw_variant(axes, cells, snd, rcv, scale):
    values = [[cells.get((s, r), np.nan) / 1e6 for r in rcv] for s in snd]
    words = [[style.figures(value, 2 if value < 100 else 3) if np.isfinite(value) else ""
              for value in row] for row in values]
    style.heat(axes, values, words, list(snd.values()), list(rcv.values()), scale)
    axes.set_xlabel(translated("receive buffer asked for (granted)"))


def outline(axes, slow, snd, rcv):
    for s, r in slow:
        row, column = list(snd).index(s), list(rcv).index(r)
        axes.plot([column - .48, column + .48, column + .48, column - .48, column - .48],
                  [row - .48, row - .48, row + .48, row + .48, row - .48],
                  color=style.RED, linewidth=2)


def draw(result):
    page = style.Page(result, title_of(result), note_of(result))
    shown = [v for v in VARIANTS if any(s["variant"] == v for s in result.samples)]
    snd, rcv = axes_of(result)
    of = {variant: speeds(result, variant) for variant in shown}
    every = [speed / 1e6 for cells in of.values() for speed in cells.values() if speed > 0] or [1]
    grid = page.grid(1, len(shown), left=0.11, above=0.08, below=0.13, wspace=0.06)
    for place, variant in enumerate(shown):
        axes = page.fig.add_subplot(grid[place])
        words = translated(result.help(variant))
        axes.set_title(words[0].upper() + words[1:])
        draw_variant(axes, of[variant], snd, rcv, (min(every), max(every)))
        outline(axes, steep_cells(result, of[variant]), snd, rcv)
        axes.tick_params(labelleft=place == 0)
        if place == 0:
            axes.set_ylabel(translated("send buffer asked for (granted)"))
    return page.fig
