# SPDX-License-Identifier: MIT
"""Whether Ctrl-C ends a server while a client is connected, or only when the client has left."""
from matplotlib.patches import Rectangle

from language import MESSAGE, say, translated

from . import servers, style

COLUMNS = (MESSAGE("with no client"), MESSAGE("with a client connected"))
AT_ONCE, WAITS, NEVER = "#9FD9C7", "#F3C3A2", "#D9A0A0"


def title_of(result):
    verdict = result.verdict("srv-ctrl-c")
    if verdict == "depends":
        return translated("With a client connected Ctrl-C ends some Python servers at once, "
                          "others when the client has left")
    if verdict == "holds":
        return translated("Ctrl-C ended every server at once")
    return translated("Does Ctrl-C end a server at once?")


def cells(samples):
    """(words, colour) of each column."""
    count = len(samples)
    alone = sum(not s["alone_lived_on"] for s in samples)
    yield (say("ends at once ({k} of {n})", k=alone, n=count), AT_ONCE) if alone == count else \
        (say("lives on ({k} of {n})", k=count - alone, n=count), NEVER)
    ended, waited = (sum(s[field] for s in samples) for field in ("ended", "waited"))
    if ended == count:
        yield say("ends at once ({k} of {n})", k=ended, n=count), AT_ONCE
    elif waited == count:
        yield say("ends when the client has left ({k} of {n})", k=waited, n=count), WAITS
    else:
        yield say("at once {ended}, waits {waited}, never {never} of {n}", ended=ended, waited=waited,
                  never=count - ended - waited, n=count), NEVER


def draw(result):
    variants = servers.of_run(result, result.all_samples)
    helps = result.run["variants"]
    page = style.Page(
        result, title_of(result),
        translated("SIGINT to the server's process group, as a terminal sends it; "
                   "the client was answered once and is silent."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.47, right=0.97, above=0.07, below=0.02)[0])
    style.rows_of(axes, [f"{translated(helps[name])}  ({name})" for name in variants])
    axes.tick_params(axis="y", labelsize=style.CAPTION)
    axes.set_xlim(-0.5, len(COLUMNS) - 0.5)
    axes.set_xticks(range(len(COLUMNS)), map(translated, COLUMNS))
    axes.xaxis.tick_top()
    axes.tick_params(axis="x", length=0)
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    for y, samples in enumerate(variants.values()):
        for x, (words, colour) in enumerate(cells(samples)):
            axes.add_patch(Rectangle((x - 0.48, y - 0.43), 0.96, 0.86, linewidth=0, color=colour))
            axes.text(x, y, words, ha="center", va="center", size=style.CAPTION)
    return page.fig
