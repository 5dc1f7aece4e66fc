# SPDX-License-Identifier: MIT
"""What refused the next datagram: how full the sender's buffer was then."""
import numpy as np

from language import MESSAGE, say, translated
from sentence import value
from . import style

ROWS = {"small": (MESSAGE("1 byte,\nto a bound socket"), style.RED),
        "large": (MESSAGE("large,\nto a bound socket"), style.GREEN),
        "pair": (MESSAGE("1 byte, connected\nto each other"), style.GREEN)}


def title_of(result):
    messages = result.number("buf-dgram-qlen", "small_messages")
    if messages is None:
        return translated("How full a sender's buffer is when its next datagram is refused")
    share = (result.number("buf-dgram-qlen", "charged_bytes")
             / result.number("buf-dgram-qlen", "granted_bytes"))
    return say("After {messages:,.0f} messages of 1 byte an AF_UNIX socket takes no more, its buffer {share} full",
               messages=messages, share=f"{style.figures(share * 100)} %")


def draw(result):
    shown = style.of_variants(result.samples, *ROWS)
    qlen = result.number("buf-dgram-qlen", "qlen")
    note = translated("When the next message was refused; medians.")
    if qlen is not None:
        note += " " + say("net.unix.max_dgram_qlen is {qlen:,.0f}.", qlen=qlen)
    page = style.Page(result, title_of(result), note)
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.16, right=0.8)[0])
    style.rows_of(axes, [translated(ROWS[name][0]) for name in shown])
    most = 100
    for at, (name, samples) in enumerate(shown.items()):
        share = 100 * np.median(style.column(samples, "charged_bytes")
                                / style.column(samples, "granted_sndbuf_bytes"))
        axes.barh(at, share, color=ROWS[name][1], height=0.6)
        messages = np.median(style.column(samples, "messages"))
        size = np.median(style.column(samples, "message_bytes"))
        style.beside(axes, at, say("{messages:,.0f} messages\nof {size}", messages=messages,
                                     size=value("message_bytes", size, translated)))
        most = max(most, share)
    axes.axvline(100, color=style.GREY, linewidth=1, linestyle="--")
    axes.set_xlim(0, most * 1.03)
    axes.set_xlabel(translated("% of SO_SNDBUF that the sender is charged with (dashed: full)"))
    return page.fig
