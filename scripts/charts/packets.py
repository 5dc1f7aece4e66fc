# SPDX-License-Identifier: MIT
"""Every segment of the first connection with its flags, and how many of each kind there were in all."""
from language import MESSAGE, say, translated

from . import style

SIDES = {"client": style.BLUE, "server": style.GREEN}
FROM = {"client": MESSAGE("from the client"), "server": MESSAGE("from the server")}
KINDS = {MESSAGE("SYN alone"): "syn_segments", MESSAGE("SYN and ACK"): "both_segments",
         MESSAGE("data, and ACK"): "data_segments", MESSAGE("FIN, and ACK"): "fin_segments",
         MESSAGE("ACK alone"): "ack_segments"}


def draw_segments(axes, segments):
    """Who sends what: the client left, the server right, time downwards."""
    axes.set_title(translated("The first connection"))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(len(segments) + 0.3, -0.9)
    for x, who, words in ((0.02, "client", translated("client")), (0.98, "server", translated("server"))):
        axes.plot([x, x], [0, len(segments)], color=style.GREY, linewidth=2)
        axes.text(x, -0.15, words, ha="center", va="bottom", color=SIDES[who])
    for at, segment in enumerate(segments):
        begin, end = (0.04, 0.96) if segment["from"] == "client" else (0.96, 0.04)
        axes.annotate("", (end, at + 0.9), (begin, at + 0.6),
                      arrowprops={"arrowstyle": "-|>", "color": SIDES[segment["from"]], "linewidth": 1.5})
        words = segment["flags"].replace("+", " + ")
        if segment["data_bytes"]:
            words = say("{flags}, {data} bytes", flags=words, data=segment["data_bytes"])
        axes.text(0.5, at + 0.64, words, ha="center", va="bottom",
                  weight="bold" if "SYN" in segment["flags"] else "normal")


def draw_kinds(axes, samples):
    axes.set_title(translated("All connections, segments of each kind"))
    style.rows_of(axes, list(map(translated, KINDS)))
    most = 1
    for at, field in enumerate(KINDS.values()):
        left = 0
        for side, colour in SIDES.items():
            count = sum(sample[field] for sample in samples if sample["from"] == side)
            axes.barh(at, count, 0.6, left=left, color=colour)
            left += count
        style.beside(axes, at, f"{left:,}")
        most = max(most, left)
    axes.set_xlim(0, most)
    for at, (side, colour) in enumerate(SIDES.items()):
        axes.text(0.98, 0.99 - 0.07 * at, translated(FROM[side]), color=colour, ha="right", va="top",
                  transform=axes.transAxes)


def title_of(result):
    if result.verdict("tcp-syn-every-packet") is None:
        return translated("The flags of every segment of a connection")
    both = result.number("tcp-syn-every-packet", "both")
    return say("{both:,} of {segments:,} segments carry SYN and ACK", both=both["k"], segments=both["n"])


def draw(result):
    page = style.Page(result, title_of(result),
                      translated("As a packet socket saw them at the client's end of a cable."))
    grid = page.grid(1, 2, left=0.03, right=0.94, above=0.09, wspace=0.35)
    draw_segments(page.fig.add_subplot(grid[0]), result.kinds.get("segment", []))
    draw_kinds(page.fig.add_subplot(grid[1]), result.samples)
    return page.fig
