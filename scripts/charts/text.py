# SPDX-License-Identifier: MIT
"""Texts cut at each byte of their characters: which pieces can be decoded alone."""
from language import MESSAGE, say, translated

from . import style

TEXTS = {"ascii": MESSAGE("ASCII\n1 byte a character"), "latin": MESSAGE("Latin with accents\n1 and 2 bytes"),
         "korean": MESSAGE("Korean\n3 bytes"), "emoji": MESSAGE("Emoji\n4 bytes")}
PLACES = (MESSAGE("between two\ncharacters"), MESSAGE("after the first byte\nof a character"),
          MESSAGE("after the second"), MESSAGE("after the third"))


def title_of(result, samples):
    if result.verdict("text-cut") == "depends":
        return translated("A piece that recv cut can be decoded only if the cut is between two characters")
    return (translated("Every piece was decoded") if all(s["decoded"] == s["messages"] for s in samples)
            else translated("Pieces that recv cut, decoded each alone"))


def note_of(result, samples):
    note = say("recv({size:,}) of each text, by where the first cut is: pieces decoded each alone. A decoder that "
               "keeps the rest of a piece for the next one read {read:,} of {messages:,} messages.",
               size=result.run["params"]["recv_bytes"], read=sum(s["kept_decoded"] for s in samples),
               messages=sum(s["messages"] for s in samples))
    pythons = [s for s in result.samples if s["variant"] == "python"]
    if pythons:
        names = list(dict.fromkeys(s["python"] for s in pythons))
        raised = {s["python"] for s in pythons if s["raised"]}
        note += " " + say("In {raised} of {pythons} CPythons ({first} to {last}) decode() of the Korean text raised "
                          "UnicodeDecodeError.", raised=len(raised), pythons=len(names), first=names[0], last=names[-1])
    return note


def draw(result):
    texts = {name: samples for name, samples in style.of_variants(result.samples, *TEXTS).items() if name in TEXTS}
    samples = [sample for each in texts.values() for sample in each]
    if not samples:
        raise ValueError("no text was measured")
    page = style.Page(result, title_of(result, samples), note_of(result, samples))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.19, right=0.97, above=0.04, below=0.08)[0])
    style.rows_of(axes, [translated(TEXTS[name]) for name in texts])
    for row, each in enumerate(texts.values()):
        for place in {sample["cut_after_bytes"] for sample in each}:
            cut_so = [sample for sample in each if sample["cut_after_bytes"] == place]
            messages = sum(sample["messages"] for sample in cut_so)
            decoded = sum(sample["decoded"] for sample in cut_so)
            axes.barh(row, 0.94, 0.8, left=place + 0.03, alpha=0.9,
                      color=style.GREEN if decoded == messages else style.RED)
            axes.text(place + 0.5, row, say("{decoded:,} of {messages:,}", decoded=decoded, messages=messages),
                      ha="center", va="center", color="white", weight="bold")
    axes.grid(False)
    axes.set_xlim(0, len(PLACES))
    axes.set_xticks([at + 0.5 for at in range(len(PLACES))], map(translated, PLACES))
    axes.tick_params(axis="x", length=0)
    axes.spines["bottom"].set_visible(False)
    return page.fig
