# SPDX-License-Identifier: MIT
"""Intervals of what was timed in rounds."""
import statistics

BOOTSTRAPS = 2000


def of_rounds(values):
    """{name: values, round by round}, without what a round did to all of them: the mean of each is a usual round's."""
    means = [statistics.geometric_mean(those) for those in zip(*values.values())]
    usual = statistics.median(means)
    return {name: [value * usual / mean for value, mean in zip(own, means)] for name, own in values.items()}


def ratio_interval(values, to, rng):
    """A 95 % interval of the ratio of two medians; rounds are drawn, which keeps pairs together."""
    n = len(values)
    ratios = []
    for _ in range(BOOTSTRAPS):
        drawn = [rng.randrange(n) for _ in range(n)]
        ratios.append(statistics.median(values[i] for i in drawn) / statistics.median(to[i] for i in drawn))
    ratios.sort()
    return ratios[int(0.025 * BOOTSTRAPS)], ratios[int(0.975 * BOOTSTRAPS) - 1]


def ratio_text(values, to, rng):
    """The ratio with this interval, "1" of itself."""
    if values is to:
        return "1"
    told = (statistics.median(values) / statistics.median(to), *ratio_interval(values, to, rng))
    return "{} ({} to {})".format(*(f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}" for value in told))
