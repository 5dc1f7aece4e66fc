#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Serve one connection, then end."""
import common

with common.listener(__doc__) as server:
    common.echo(*server.accept())
