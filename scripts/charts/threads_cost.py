# SPDX-License-Identifier: MIT
"""What a thread or a process for every connection costs: CPU, context switches, memory."""
from language import say, translated

from . import servers, style


def title_of(result):
    if result.verdict("srv-threads-cost") != "holds":
        return translated("What an event loop, a thread or a process for every connection costs")
    thread, process = (style.times(result.number("srv-threads-cost", name))
                       for name in ("thread_cpu.mid", "fork_cpu.mid"))
    return say("Of one event loop's CPU a request, a thread for every connection takes "
               "{thread} times, a process {process} times", thread=thread, process=process)


def draw(result):
    variants = servers.of_run(result, result.samples)
    params = result.run["params"]
    cpu = {name: servers.cpu(samples) for name, samples in variants.items()}
    page = style.Page(
        result, title_of(result),
        say("{connections:,} connections of 64 bytes a request, and memory of {held:,} connections that are only "
            "held. A dot is a trial, a bar the median.", connections=params["connections"], held=params["held"]))
    servers.side_by_side(page, list(variants), (
        (translated("CPU a request"), translated("of the server"), cpu, style.time_of),
        (translated("Context switches a request"), translated("of all threads"),
         {name: servers.each(samples, "switches", "requests") for name, samples in variants.items()},
         lambda n: style.figures(n, 2)),
        (translated("Memory a connection"), translated("with kernel stacks"),
         {name: servers.memory(samples) for name, samples in variants.items()}, style.bytes_of)))
    return page.fig
