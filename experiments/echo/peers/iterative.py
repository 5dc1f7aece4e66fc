#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One connection after the other."""
import common


def main():
    server = common.listener(__doc__)
    while True:
        common.echo(*server.accept())


common.run(main)
