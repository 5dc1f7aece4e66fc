# SPDX-License-Identifier: MIT
"""Messages as bars, cut where each recv cut them."""
import textwrap

from language import MESSAGE, say, translated

from . import style

KINDS = {"tcp": "TCP", "unix-stream": MESSAGE("AF_UNIX stream"), "udp": "UDP",
         "unix-dgram": MESSAGE("AF_UNIX datagram"), "seqpacket": "AF_UNIX seqpacket"}
PROGRAMS = {"2000": MESSAGE("one send of 2,000 bytes"), "4000": MESSAGE("one send of 4,000 bytes"),
            "racing": MESSAGE("five sends of 300, one run while another thread receives")}
SHADES = (style.SKY, style.BLUE)


def shown(result, variant, program):
    """The sample to draw, and the recvs of it: of the race the first that came out otherwise."""
    recvs = [row for row in result.kinds.get("recv", [])
             if row["variant"] == variant and row["program"] == program]
    runs = []
    for row in recvs:
        if row["call"] == 0:
            runs.append([])
        runs[-1].append(row["returned_bytes"])
    samples = [s for s in result.samples if s["variant"] == variant and s["program"] == program]
    at = next((i for i, s in enumerate(samples) if s["unlike_send"] and program == "racing"), 0)
    return samples[at], runs[at]


def draw_bar(axes, at, sample, chunks):
    begin = 0
    each = sample["sent_bytes"] // sample["sends"]
    for i, size in enumerate(chunks):
        axes.barh(at, size, 0.66, left=begin, color=SHADES[i % 2], edgecolor="white", linewidth=1.5)
        if size > sample["sent_bytes"] * 0.09:
            axes.text(begin + size / 2, at, f"{size:,}", ha="center", va="center", size=8.5,
                      color="white" if i % 2 else style.BLACK)
        begin += size
        if sample["truncated_recvs"] and begin % each:  # the rest of a datagram is gone
            lost = each - begin % each
            axes.barh(at, lost, 0.66, left=begin, color="white", edgecolor=style.RED, hatch="////",
                      linewidth=1)
            axes.text(begin + lost / 2, at, say("{bytes:,} lost", bytes=lost), ha="center", va="center",
                      size=8.5, color=style.RED, weight="bold",
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
            begin += lost


def draw_sent(axes, sample):
    each = sample["sent_bytes"] // sample["sends"]
    for i in range(sample["sends"]):
        axes.barh(0, each, 0.66, left=i * each, color=style.GREY, edgecolor="white", linewidth=1.5)
        axes.text((i + 0.5) * each, 0, f"{each:,}", ha="center", va="center", size=8.5,
                  color="white")


def draw_kinds(page, grid, result, kinds):
    panels = [page.fig.add_subplot(grid[0, i]) for i in range(3)]
    labels = [translated("sent")] + [translated(KINDS[kind]) for kind in kinds]
    for axes, (program, title) in zip(panels, PROGRAMS.items()):
        axes.set_title(textwrap.fill(translated(title), 36), size=style.BODY)
        style.rows_of(axes, labels if axes is panels[0] else [""] * len(labels))
        for at, kind in enumerate(kinds, 1):
            sample, chunks = shown(result, kind, program)
            if at == 1:
                draw_sent(axes, sample)
                axes.set_xlim(0, sample["sent_bytes"])
            draw_bar(axes, at, sample, chunks)
        axes.grid(False)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
    panels[0].set_yticklabels(labels)


def title_of(result, kinds):
    size = result.run["params"]["recv_bytes"]
    told = []
    if any("stream" in kind or kind == "tcp" for kind in kinds):
        told.append(translated("a stream hands over what is there and keeps the rest"))
    lost = any(s.get("lost_bytes") for s in result.samples)
    if any(kind not in ("tcp", "unix-stream") for kind in kinds):
        told.append(translated("a datagram comes whole or loses its end") if lost else
                    translated("a datagram comes whole"))
    return f"recv({size}): " + ", ".join(told)


def draw(result):
    kinds = [name for name in style.of_variants(result.samples, *KINDS) if name in KINDS]
    if not kinds:
        raise ValueError("nothing was measured")
    page = style.Page(result, title_of(result, kinds),
                      translated("Each coloured piece is what one recv returned."))
    draw_kinds(page, page.grid(1, 3, left=0.19, below=0.02, wspace=0.06), result, kinds)
    return page.fig
