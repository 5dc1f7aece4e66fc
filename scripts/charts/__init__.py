# SPDX-License-Identifier: MIT
"""How each experiment is drawn: charts/NAME.py, or default.py where there is none."""
