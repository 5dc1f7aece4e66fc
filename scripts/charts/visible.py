# SPDX-License-Identifier: MIT
"""Which connects reach a server, by the address that it is bound to."""
import textwrap

from language import MESSAGE, say, translated

from . import style

BOUND = {"any": "''\n(0.0.0.0)", "localhost": "localhost\n(127.0.0.1)",
         "name-127.0.1.1": MESSAGE("the host's name,\nif it is 127.0.1.1"),
         "name-card": MESSAGE("the host's name,\nif it is the card's address")}
WHERE = {"at_127_0_0_1": "127.0.0.1", "at_127_0_0_2": "127.0.0.2", "at_127_0_1_1": "127.0.1.1",
         "at_card": MESSAGE("the card's\naddress"), "from_outside": MESSAGE("from outside,\nthe card's address")}


def title_of(result):
    card, loopback = (result.number("net-bind-visibility", name) for name in ("card", "loopback"))
    if card is None:
        return translated("From where a server is reached")
    if card["k"] and not loopback["k"]:
        return translated("Bound to the host's name: reached from outside only if the name is a card's address")
    return say("A server bound to the host's name was reached from outside in {trials:,} trials",
               trials=card["k"] + loopback["k"])


def draw(result):
    shown = style.of_variants(result.samples, *BOUND)
    here = result.number("net-bind-visibility", "here")
    note = translated("In how many trials a connect reached the server.")
    if here:
        note += " " + say("On this machine /etc/hosts says of the host's name: {here}.", here=translated(here))
    page = style.Page(result, title_of(result), note)
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.2, right=0.98, above=0.14, below=0.0)[0])
    values = [[sum(s[field] for s in samples) / len(samples) for field in WHERE] for samples in shown.values()]
    style.rows_of(axes, [translated(BOUND[name]) if name in BOUND else textwrap.fill(name, 20) for name in shown])
    axes.text(-0.02, 1.03, translated("bound to"), ha="right", weight="bold", transform=axes.transAxes)
    for at, (samples, row) in enumerate(zip(shown.values(), values)):
        for x, (field, share) in enumerate(zip(WHERE, row)):
            axes.barh(at, 0.92, 0.84, left=x - 0.46, color="#9FD9C7" if share == 1 else "#F3C3A2" if share == 0
                      else style.YELLOW)
            axes.text(x, at, translated("reached") if share == 1 else translated("refused") if share == 0 else
                      f"{share * 100:.0f} %", ha="center", va="center")
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(WHERE)), list(map(translated, WHERE.values())))
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.5, len(WHERE) - 0.5)
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    return page.fig
