# SPDX-License-Identifier: MIT
"""How soon a program learns that nobody listens, and what it is told."""
from matplotlib.ticker import FuncFormatter

from . import style

VARIANTS = {  # as the rows name them: in words
    "listens": "TCP: a server listens",
    "closed": "TCP: nobody has the port",
    "bound": "TCP: bound, does not listen",
    "bound-ipv6": "TCP over IPv6: the same",
    "gone": "TCP: listener just closed",
    "nonblock": "TCP: client does not block",
    "self": "TCP: the client has the port",
    "self-ipv6": "TCP over IPv6: the same",
    "other-port": "TCP: the client has another",
    "chance": "TCP: tried until it has the port",
    "udp": "UDP: nobody has the port",
    "unix-bound": "AF_UNIX: does not listen",
    "unix-nobody": "AF_UNIX: nobody has the name",
    "unix-file": "AF_UNIX: no such file",
    "silent": "TCP: no answer, SO_SNDTIMEO",
    "silent-poll": "TCP: no answer, poll",
}
SELF = ("self", "self-ipv6")
LOOKS = {"ok": (style.GREEN, "^"), "silent": (style.RED, "s"), "": (style.BLUE, "o")}


def answer_of(variant, samples):
    """What the program was told."""
    sample = samples[0]
    own = sum(sample["self_connected"] for sample in samples) if variant in (*SELF, "other-port", "chance") else 0
    if own:
        return "connected to itself" + (f" {own}×" if own < len(samples) else "")
    if variant.startswith("silent"):
        return "gave up"
    if sample["later"] != "ok":
        return sample["later"] + (" (next call)" if variant == "udp" else "")
    return "connected" if sample["connect"] == "ok" else sample["connect"]


def look_of(variant):
    return LOOKS["ok" if variant in ("listens", *SELF) else "silent" if "silent" in variant else ""]


def title_of(result):
    refused = result.number("tcp-connect-refused", "longest_ns")
    if not refused:
        return "What connect says where nobody listens"
    return (f"A port nobody listens on refuses within {style.time_of(refused)}; a host that does "
            "not answer costs all the time the program gives it")


def draw(result):
    shown = style.of_variants(result.samples, *VARIANTS)
    page = style.Page(result, title_of(result),
                      "Time until the program knew. A dot is a trial, a bar the median. The limit "
                      f"of a client without an answer: {result.run['params']['limit_ms']} ms.")
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.25, right=0.78, above=0.03)[0])
    style.rows_of(axes, [VARIANTS.get(variant, variant) for variant in shown])
    axes.set_xscale("log")
    for at, (variant, samples) in enumerate(shown.items()):
        told = style.column(samples, "known_ns")
        style.dots(axes, told, at, *look_of(variant))
        style.median_bar(axes, told, at)
        colour = look_of(variant)[0]
        axes.text(1.015, at, answer_of(variant, samples), va="center", color=colour,
                  transform=axes.get_yaxis_transform())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ns, _: style.time_of(ns)))
    axes.minorticks_off()
    axes.set_xlabel("from the call of connect until the program knew")
    return page.fig
