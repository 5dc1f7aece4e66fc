# SPDX-License-Identifier: MIT
"""How much of a full send buffer must be free before a blocked sender goes on."""
import numpy as np

from language import say, translated
from . import style

ORDER = ("tcp-64K", "tcp-1M", "tcp-default", "unix-64K", "unix-1M", "udp-64K", "udp-256K")
SLEEPS, CHANGES, FREE = style.RED, style.YELLOW, style.GREEN


def free(sample, granted, wmem):
    """The share of the buffer that is free, in %."""
    return 100 * max(0, 1 - sample[wmem] / sample[granted])


def median(samples, granted, wmem):
    return float(np.median([free(sample, granted, wmem) for sample in samples]))


def title_of(result, variants):
    if result.verdict("buf-wake-when-room") != "refuted":
        return translated("How much of a full send buffer is free before a blocked send() goes on")
    asleep = {kind: max(median(samples, "send_granted_bytes", "asleep_wmem_bytes")
                        for samples in variants.values() if samples[0]["kind"] == kind)
              for kind in dict.fromkeys(s[0]["kind"] for s in variants.values())}
    shares = ", ".join(f"{share:.0f}\N{NO-BREAK SPACE}% ({kind})" for kind, share in asleep.items())
    return say("A blocked send() sleeps on while up to {shares} of its buffer are free", shares=shares)


def name_of(samples):
    asked = samples[0]["asked_bytes"]
    size = say("{size} asked for", size=style.bytes_of(asked)) if asked else translated("default, which grows")
    return f"{samples[0]['kind']}\n{size}"


def draw_strip(axes, at, samples):
    """From 0 to 100 % free: no POLLOUT, where it changes, POLLOUT; the sleeper below."""
    no = median(samples, "granted_bytes", "poll_no_wmem_bytes")
    yes = median(samples, "granted_bytes", "poll_yes_wmem_bytes")
    for left, right, colour in ((0, no, SLEEPS), (no, yes, CHANGES), (yes, 100, FREE)):
        axes.barh(at, right - left, left=left, height=0.62, color=colour, alpha=0.85)
    asleep = [free(s, "send_granted_bytes", "asleep_wmem_bytes") for s in samples]
    axes.plot(asleep, at + style.jitter(len(asleep), 0.3), "o", color=style.BLACK, markersize=6,
              alpha=0.7, markeredgewidth=0)
    passed = [free(s, "send_granted_bytes", "passed_wmem_bytes") for s in samples if s["passed"]]
    axes.plot(passed, at + style.jitter(len(passed), 0.3), "x", color="white", markersize=6,
              markeredgewidth=1.8)
    slept = float(np.median([max(0, s["send_granted_bytes"] - s["asleep_wmem_bytes"])
                             for s in samples]))
    style.beside(axes, at, f"{style.bytes_of(slept)}")


def draw_key(axes):
    """The key, above the first strip, in the colours it explains."""
    for x, text, colour in ((0, translated("■ no POLLOUT"), SLEEPS),
                            (0.2, translated("■ between two looks"), "#9A8C00"),
                            (0.5, "■ POLLOUT", FREE)):
        axes.text(x, 1.115, text, transform=axes.transAxes, color=colour, weight="bold")
    for x, text in ((0, translated("●  most that was free while a send() slept")),
                    (0.52, translated("×  another one got in then")), (1.015, translated("● in bytes"))):
        axes.text(x, 1.045, text, transform=axes.transAxes)


def draw(result):
    variants = style.of_variants(result.samples, *ORDER)
    page = style.Page(result, title_of(result, variants),
                      translated("A full send buffer is emptied in small steps, and looked at after each. "
                                 "A message of 1 byte (UDP: 1,000) waits for room."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.2, right=0.88, above=0.13)[0])
    style.rows_of(axes, [name_of(samples) for samples in variants.values()])
    for at, samples in enumerate(variants.values()):
        draw_strip(axes, at, samples)
    draw_key(axes)
    axes.set_xlim(0, 100)
    axes.set_xticks(range(0, 101, 10))
    axes.set_xlabel(translated("free of the send buffer, in % of what is granted"))
    return page.fig
