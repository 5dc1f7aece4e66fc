# SPDX-License-Identifier: MIT
"""How soon a program learns that nobody listens, and what it is told."""
from matplotlib.ticker import FuncFormatter

from language import MESSAGE, say, translated

from . import style

VARIANTS = {  # as the rows name them: in words
    "listens": MESSAGE("TCP: a server listens"),
    "closed": MESSAGE("TCP: nobody has the port"),
    "bound": MESSAGE("TCP: bound, does not listen"),
    "bound-ipv6": MESSAGE("TCP over IPv6: the same"),
    "gone": MESSAGE("TCP: listener just closed"),
    "nonblock": MESSAGE("TCP: client does not block"),
    "self": MESSAGE("TCP: the client has the port"),
    "self-ipv6": MESSAGE("TCP over IPv6: the same"),
    "other-port": MESSAGE("TCP: the client has another"),
    "chance": MESSAGE("TCP: tried until it has the port"),
    "udp": MESSAGE("UDP: nobody has the port"),
    "unix-bound": MESSAGE("AF_UNIX: does not listen"),
    "unix-nobody": MESSAGE("AF_UNIX: nobody has the name"),
    "unix-file": MESSAGE("AF_UNIX: no such file"),
    "silent": MESSAGE("TCP: no answer, SO_SNDTIMEO"),
    "silent-poll": MESSAGE("TCP: no answer, poll"),
}
SELF = ("self", "self-ipv6")
LOOKS = {"ok": (style.GREEN, "^"), "silent": (style.RED, "s"), "": (style.BLUE, "o")}


def answer_of(variant, samples):
    """What the program was told."""
    sample = samples[0]
    own = sum(sample["self_connected"] for sample in samples) if variant in (*SELF, "other-port", "chance") else 0
    if own:
        return translated("connected to itself") + (f" {own}×" if own < len(samples) else "")
    if variant.startswith("silent"):
        return translated("gave up")
    if sample["later"] != "ok":
        return say("{error} (next call)", error=sample["later"]) if variant == "udp" else sample["later"]
    return translated("connected") if sample["connect"] == "ok" else sample["connect"]


def look_of(variant):
    return LOOKS["ok" if variant in ("listens", *SELF) else "silent" if "silent" in variant else ""]


def title_of(result):
    refused = result.number("tcp-connect-refused", "longest_ns")
    if not refused:
        return translated("What connect says where nobody listens")
    return say("A port nobody listens on refuses within {time}; a host that does not answer costs all the time the "
               "program gives it", time=style.time_of(refused))


def draw(result):
    shown = style.of_variants(result.samples, *VARIANTS)
    page = style.Page(result, title_of(result),
                      say("Time until the program knew. A dot is a trial, a bar the median. The limit of a client "
                          "without an answer: {limit} ms.", limit=result.run["params"]["limit_ms"]))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.25, right=0.78, above=0.03)[0])
    style.rows_of(axes, [translated(VARIANTS.get(variant, variant)) for variant in shown])
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
    axes.set_xlabel(translated("from the call of connect until the program knew"))
    return page.fig
