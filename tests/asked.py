# SPDX-License-Identifier: MIT
"""What charts ask for that no row has:  asked.py FILE...

A chart leaves out what a sample lacks, so a field that was renamed would silently be drawn nowhere.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scripts"))
import plot  # noqa: E402
import rows  # noqa: E402


class Row(dict):
    """A row that tells which names it was asked for, by whether some row had them."""
    found, lacking = set(), set()

    def asked(self, name):
        (self.found if dict.__contains__(self, name) else self.lacking).add(name)

    def __contains__(self, name):
        self.asked(name)
        return super().__contains__(name)

    def __getitem__(self, name):
        self.asked(name)
        return super().__getitem__(name)

    def get(self, name, default=None):
        self.asked(name)
        return super().get(name, default)


for path in sys.argv[1:]:
    result = rows.read(path)
    Row.found.clear()
    Row.lacking.clear()
    result.kinds = {kind: [Row(row) for row in of] for kind, of in result.kinds.items()}
    plot.chart_of(result).draw(result)
    for name in sorted(Row.lacking - Row.found - {"disturbed", "variant"}):
        print(f"{result.name}: {name}")
