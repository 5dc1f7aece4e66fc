# SPDX-License-Identifier: MIT
"""One port, many connections: the remote ports that tell them apart, and what a name forbids."""
import errno

from language import MESSAGE, say, translated

from . import style

ATTEMPTS = {  # in words: the field that says what became of it
    MESSAGE("a second one of\na name in use"): "same_name_errno",
    MESSAGE("the same port to\nanother listener"): "same_port_elsewhere_errno",
    MESSAGE("UDP at the same\naddress and port"): "udp_bind_errno",
}


def error_of(number):
    return errno.errorcode.get(number, f"errno {number}") if number else translated("works")


def draw_names(axes, connections):
    """Of the first trial, in the order of the connections."""
    remote = [row["remote_port"] for row in connections]
    locals_ = sorted({row["local_port"] for row in connections})
    axes.set_title(translated("The two ports of each connection, one after the other"))
    axes.plot(range(1, len(remote) + 1), remote, ".", color=style.BLUE, markersize=4)
    for port in locals_:
        axes.axhline(port, color=style.ORANGE, linewidth=2)
    axes.margins(x=0.01, y=0.12)
    local = say("local port: {port}", port=locals_[0]) if len(locals_) == 1 else translated("local port: several")
    axes.text(0.99, locals_[0], local + "\n", color=style.ORANGE, weight="bold", ha="right", va="center",
              transform=axes.get_yaxis_transform())
    axes.text(0.99, 1.0, say("remote ports: {ports:,} different ones", ports=len(set(remote))), color=style.BLUE,
              weight="bold", ha="right", va="top", transform=axes.transAxes)
    axes.set_xlabel(translated("connection"))
    axes.yaxis.set_major_formatter("{x:.0f}")


def draw_attempts(axes, trials):
    axes.set_title(translated("What else may be connected,\nor bound?"))
    style.rows_of(axes, list(map(translated, ATTEMPTS)))
    for at, field in enumerate(ATTEMPTS.values()):
        errors = {trial[field] for trial in trials}
        works = errors == {0}
        axes.barh(at, 1, 0.7, color=style.SKY if works else style.ORANGE, alpha=0.6)
        axes.text(0.5, at, error_of(errors.pop()) if len(errors) == 1 else translated("not always"),
                  ha="center", va="center")
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)


def draw(result):
    trials = [sample for sample in result.samples if "names" in sample]
    connections = max(trial["connections"] for trial in trials)
    names = min(trial["names"] for trial in trials)
    shown = next(iter(style.of_variants(trials, "ipv4", "ipv6")))
    both = translated(", over IPv4 and IPv6 alike") if len({trial.get("variant") for trial in trials}) > 1 else ""
    wrong = sum(trial["wrong_pieces"] + trial["udp_wrong_pieces"] for trial in trials)
    came = (MESSAGE("Of all data that was sent, {wrong:,} pieces came to a wrong one{both}.") if wrong else
            MESSAGE("Of all data that was sent, nothing came to a wrong one{both}."))
    page = style.Page(
        result, say("{connections:,} connections shared one port, and had {names:,} different names",
                    connections=connections, names=names),
        translated("A name is the local and the remote address and port.") + " " + say(came, wrong=wrong, both=both))
    grid = page.grid(1, 2, left=0.08, above=0.09, wspace=0.48, width_ratios=(2, 1))
    draw_names(page.fig.add_subplot(grid[0]), [
        row for row in result.kinds.get("connection", []) if row.get("variant", "") == shown])
    draw_attempts(page.fig.add_subplot(grid[1]), trials)
    return page.fig
