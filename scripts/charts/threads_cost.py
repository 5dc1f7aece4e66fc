# SPDX-License-Identifier: MIT
"""What a thread or a process for every connection costs: CPU, context switches, memory."""
from . import servers, style


def title_of(result):
    if result.verdict("srv-threads-cost") != "holds":
        return "What an event loop, a thread or a process for every connection costs"
    ratios = [result.number("srv-threads-cost", name) for name in ("thread_cpu.mid", "fork_cpu.mid")]
    return ("Of one event loop's CPU a request, a thread for every connection takes "
            f"{style.times(ratios[0])} times, a process {style.times(ratios[1])} times")


def draw(result):
    variants = servers.of_run(result, result.samples)
    params = result.run["params"]
    cpu = {name: servers.cpu(samples) for name, samples in variants.items()}
    page = style.Page(
        result, title_of(result),
        f"{params['connections']:,} connections of 64 bytes a request, and memory of "
        f"{params['held']:,} connections that are only held. A dot is a trial, a bar the median.")
    servers.side_by_side(page, list(variants), (
        ("CPU a request", "of the server", cpu, style.time_of),
        ("Context switches a request", "of all threads",
         {name: servers.each(samples, "switches", "requests") for name, samples in variants.items()},
         lambda n: style.figures(n, 2)),
        ("Memory a connection", "with kernel stacks",
         {name: servers.memory(samples) for name, samples in variants.items()}, style.bytes_of)))
    return page.fig
