# SPDX-License-Identifier: MIT
"""Processes forked beforehand: who is answered at a time, by how many, and after one was killed."""
import numpy as np

from language import MESSAGE, say, translated

from . import servers, style

COLUMNS = (("answered_clients", MESSAGE("answered\nat a time")), ("serving_processes", MESSAGE("by\nprocesses")),
           ("nonblocking_sockets", MESSAGE("sockets with\nO_NONBLOCK")),
           ("receiving_threads", MESSAGE("threads asleep\nin recv")),
           ("go_on_clients", MESSAGE("one killed:\ngo on")), ("served_anew", MESSAGE("newcomer\nserved")))


def title_of(result):
    verdict = result.verdict("srv-prefork")
    if verdict == "holds" and result.verdict("srv-several-need-nonblocking") == "refuted":
        return translated("Pre-forked processes serve in parallel by blocking calls: one is killed, the others go on")
    if verdict == "holds":
        return translated("Pre-forked processes serve in parallel: one is killed, the others go on")
    if verdict == "refuted":
        return translated("Pre-forked processes did not serve in parallel and isolated here")
    return translated("Pre-forked processes, and other servers")


def draw(result):
    variants = servers.of_run(result, result.samples)
    columns = [column for column in COLUMNS if any(column[0] in s for s in result.samples)]
    clients = max((s["clients"] for s in result.samples), default=0)
    page = style.Page(
        result, title_of(result),
        say("{clients} clients are connected and ask in turn; then one process that has answered is killed, "
            "and they ask again. Medians of the trials.", clients=clients))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.13, above=0.1, below=0.02)[0])
    values = [[np.median(style.column(samples, field)) for field, _ in columns]
              for samples in variants.values()]
    words = [[say("{k} of {n}", k=f"{value:g}", n=clients) if "clients" in field else f"{value:g}"
              for value, (field, _) in zip(line, columns)] for line in values]
    if values:
        # as colour: of the clients; a newcomer stands for all of them
        values = [[1 + value * (clients if field == "served_anew" else 1)
                   for value, (field, _) in zip(line, columns)] for line in values]
        style.heat(axes, values, words, list(variants), [translated(head) for _, head in columns])
        axes.xaxis.tick_top()
    return page.fig
