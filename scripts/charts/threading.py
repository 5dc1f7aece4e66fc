# SPDX-License-Identifier: MIT
"""1:1, N:1, N:M and two-level: CPU a request, rate and sleeps."""
from language import MESSAGE, say, translated

from . import servers, style

TITLES = {"holds": MESSAGE("N:M threading is the most efficient of these"),
          "refuted": MESSAGE("N:M threading is not the most efficient of these")}
OPEN = MESSAGE("1:1, N:1, N:M and two-level threads")


def draw(result):
    variants = servers.of_run(result, [s for s in result.samples if s.get("requests")])
    names = {name: f"{name}\n{result.help(name).partition(',')[0]}" for name in variants}
    page = style.Page(
        result, translated(TITLES.get(result.verdict("srv-nm-efficient"), OPEN)),
        say("{connections:,} connections of 64 bytes a request; server and load may use all CPUs. "
            "A dot is a trial, a bar the median.", connections=result.run["params"]["connections"]))
    columns = ((translated("CPU a request"), translated("of the server"), servers.cpu, style.time_of),
               (translated("Requests a second"), translated("answered"), servers.rate, style.figures),
               (translated("Sleeps a request"), translated("of all threads"),
                lambda s: servers.each(s, "voluntary_switches", "requests"),
                lambda n: style.figures(n, 2)))
    servers.side_by_side(page, list(names.values()), [
        (title, label, {names[name]: values(samples) for name, samples in variants.items()}, words)
        for title, label, values, words in columns])
    return page.fig
