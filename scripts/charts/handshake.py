# SPDX-License-Identifier: MIT
"""The handshake's three segments, and the first sequence numbers of both sides."""
from language import say, translated

from . import style

UPPER = 18  # the server's number is told by its upper 14 bits of 32


def draw_segments(axes, samples):
    """Who sends what: the client left, the server right, time downwards."""
    began = sum(s["syn"] == 1 and s["ack"] == 0 for s in samples)
    three = sum((s["client_segs_out"], s["client_segs_in"]) == (2, 1) for s in samples)
    axes.set_title(translated("Three segments"))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(3.9, -0.5)
    for x, who in ((0.04, translated("client")), (0.96, translated("server"))):
        axes.plot([x, x], [0, 3.1], color=style.GREY, linewidth=2)
        axes.text(x, -0.1, who, ha="center", va="bottom")
    for at, (begin, end, words) in enumerate((
            (0.05, 0.95, translated("SYN, my first number is x")),
            (0.95, 0.05, translated("SYN, mine is y; ACK x + 1")),
            (0.05, 0.95, "ACK y + 1"))):
        axes.annotate("", (end, at + 0.75), (begin, at + 0.35),
                      arrowprops={"arrowstyle": "-|>", "color": style.BLUE, "linewidth": 2})
        axes.text(0.5, at + 0.42, words, ha="center", va="bottom")
    axes.text(0.5, 3.8, say("SYN and no ACK came first in {began:,} of {all:,};\n"
                            "the client sent 2 segments and got 1 in {three:,}",
                            began=began, all=len(samples), three=three), ha="center", va="bottom", color=style.GREY)


def draw_numbers(axes, read):
    """A dot a connection: had one number been made of the other, or of the time, they would lie
    on a line."""
    axes.set_title(translated("The first numbers of both sides"))
    axes.plot([s["client_isn"] / 2**30 for s in read],
              [(s["server_isn_upper_bits"] << UPPER) / 2**30 for s in read], "o",
              color=style.BLUE, alpha=0.6, markersize=5, markeredgewidth=0)
    for axis, number in ((axes.xaxis, translated("the client's first sequence number")),
                         (axes.yaxis, translated("the server's first sequence number"))):
        axis.set_ticks(range(5), ["0", "2³⁰", "2³¹", "3 · 2³⁰", "2³²"])
        axis.set_label_text(number)
    axes.set_xlim(0, 4)
    axes.set_ylim(0, 4)


def draw(result):
    samples = result.samples
    read = [s for s in samples if s["server_isn_upper_bits"] >= 0]
    clients = len({s["client_isn"] for s in samples})
    servers = len({s["server_isn_upper_bits"] for s in read})
    if read:
        title = say("{connections:,} connections: {clients:,} different first numbers of the clients, {servers:,} of "
                    "the servers", connections=len(samples), clients=clients, servers=servers)
        note = translated("The client's number is in its SYN, which the listener saved; the server's was told by a "
                          "filter, by its upper 14 bits.")
    else:
        title = say("{connections:,} connections: {clients:,} different first numbers of the clients",
                    connections=len(samples), clients=clients)
        note = translated("The server's number is in the SYN+ACK, which nobody may read.")
    page = style.Page(result, title, note)
    grid = page.grid(1, 2 if read else 1, left=0.03, right=0.97, above=0.08, wspace=0.3)
    draw_segments(page.fig.add_subplot(grid[0]), samples)
    if read:
        draw_numbers(page.fig.add_subplot(grid[1]), read)
    return page.fig
