# SPDX-License-Identifier: MIT
"""Loss: what was sent again, and what it cost, beside the 1/sqrt(p) model."""
import numpy as np
from matplotlib.ticker import FuncFormatter

from language import MESSAGE, say, translated

from . import style

MB = 1e6


def percent(variant):
    return int(variant.split("-")[1])


def of_kind(result, kind):
    """The samples of each rate, tcp or udp, by what was asked for."""
    names = {s["variant"] for s in result.samples if s["variant"].startswith(kind)}
    return {percent(name): [s for s in result.samples if s["variant"] == name]
            for name in sorted(names, key=percent)}


def total(samples, field):
    return sum(sample[field] for sample in samples)


def loss(samples):
    return total(samples, "dropped_segments") / max(total(samples, "sent_segments"), 1)


def rate(samples):
    """MB/s of all trials together, as the program counts it."""
    return total(samples, "received_bytes") / max(total(samples, "elapsed_ns"), 1) * 1e9 / MB


def title_of(tcp):
    if any(s["misplaced_bytes"] or s["missing_bytes"] and not s["late"]
           for samples in tcp.values() for s in samples):
        return translated("TCP lost or changed bytes")
    lossy = {asked: samples for asked, samples in tcp.items() if loss(samples) > 0}
    if not lossy:
        return translated("No segment was lost") if tcp else translated("UDP loses what the filter drops")
    most = lossy[max(lossy)]
    late = sum(s["late"] for samples in tcp.values() for s in samples)
    title = say(MESSAGE("With {loss:.2g} % of the segments lost what arrives is still right") if late else
                MESSAGE("With {loss:.2g} % of the segments lost every byte still arrives"), loss=loss(most) * 100)
    if 0 in tcp:
        return say("{arrives}, {times} times slower", arrives=title, times=style.times(rate(tcp[0]) / rate(most)))
    return title


def draw_rates(axes, tcp, congestion):
    axes.set_title(translated("What TCP gets through"))
    axes.set_yscale("log")
    axes.set_ylabel(translated("throughput (MB/s, log)"))
    lossy = [samples for samples in tcp.values() if loss(samples) > 0]
    for at, samples in enumerate(tcp.values()):
        each = [rate([s]) for s in samples]
        axes.plot(at + style.jitter(len(each), 0.3), each, "o", color=style.BLUE, markersize=6,
                  alpha=0.5, markeredgewidth=0)
        axes.plot([at - 0.3, at + 0.3], [rate(samples)] * 2, color=style.BLUE, linewidth=3)
        waited = total(samples, "timers_ns") / max(total(samples, "elapsed_ns"), 1)
        axes.annotate(say("waited for a\ntimer: {share:.0f} %", share=waited * 100), (at, 0.015),
                      xycoords=axes.get_xaxis_transform(), ha="center", va="bottom",
                      size=style.CAPTION + 0.5, color=style.GREY)
    if lossy:
        k = np.exp(np.mean([np.log(rate(s) * np.sqrt(loss(s))) for s in lossy]))
        at = [list(tcp).index(asked) for asked, s in tcp.items() if loss(s) > 0]
        model = [k / np.sqrt(loss(s)) for s in lossy]
        axes.plot(at, model, "s--", color=style.RED, markersize=7, zorder=3,
                  label=translated("the model, K/sqrt(loss), K fitted"))
    axes.plot([], [], "o", color=style.BLUE, alpha=0.5, label=say("a trial ({congestion})", congestion=congestion))
    axes.plot([], [], color=style.BLUE, linewidth=3, label=translated("all trials together"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda mb, _: style.figures(mb)))
    low, high = axes.get_ylim()
    axes.set_ylim(low / 5, high * 8)
    axes.legend(loc="upper right", frameon=False)


def draw_again(axes, tcp, udp):
    """Of 100 segments that should arrive, those that were lost and those that were sent again."""
    axes.set_title(translated("What is lost, and what is sent again"))
    axes.set_ylabel(translated("% of what was sent"))
    bars = ((MESSAGE("TCP, lost"), tcp, "dropped_segments", "sent_segments", style.SKY, ""),
            (MESSAGE("TCP, sent again"), tcp, "retransmits", "sent_segments", style.BLUE, ""),
            (MESSAGE("UDP, lost"), udp, "lost_datagrams", "sent_datagrams", style.ORANGE, "//"),
            (MESSAGE("UDP, sent again"), udp, "again_datagrams", "sent_datagrams", style.RED, "//"))
    rates = sorted({*tcp, *udp})
    top = 0
    for i, (label, kinds, part, whole, colour, hatch) in enumerate(bars):
        if not kinds:
            continue
        at = [rates.index(asked) + (i - 1.5) * 0.21 for asked in kinds]
        high = [total(s, part) / max(total(s, whole), 1) * 100 for s in kinds.values()]
        axes.bar(at, high, 0.19, color=colour, label=translated(label), hatch=hatch, edgecolor="white")
        for x, y in zip(at, high):
            axes.annotate(f"{y:.{int(0 < y < 9.95)}f}", (x, y), (0, 2), ha="center",
                          textcoords="offset points", size=style.CAPTION - 1)
        top = max(top, *high)
    axes.set_ylim(0, max(top, 1) * 1.3)
    axes.legend(loc="upper left", frameon=False)
    axes.grid(False, axis="x")
    return rates


def draw(result):
    params = result.run["params"]
    tcp, udp = of_kind(result, "tcp"), of_kind(result, "udp")
    page = style.Page(
        result, title_of(tcp),
        say("{total} over TCP in segments of {segment}, and {datagrams:,} datagrams over UDP; a filter on the "
            "receiving socket drops some of what comes in. The model counts round trips; timers, which it does not know, "
            "are thousands of them long on loopback.", total=style.bytes_of(params["total_bytes"]),
            segment=style.bytes_of(params["segment_bytes"]), datagrams=params["datagrams"]))
    grid = page.grid(1, 2, left=0.08, wspace=0.2, width_ratios=(1.15, 1))
    rates, again = (page.fig.add_subplot(grid[at]) for at in (0, 1))
    if tcp:
        draw_rates(rates, tcp, params.get("congestion", "?"))
    for axes, asked in ((rates, list(tcp)), (again, draw_again(again, tcp, udp))):
        axes.set_xticks(range(len(asked)), [f"{each} %" for each in asked])
        axes.set_xlim(-0.6, max(len(asked), 1) - 0.4)
        axes.set_xlabel(translated("asked of the filter"))
    return page.fig
