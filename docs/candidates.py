"""Counts every architecture that `scantling scale` chooses from, anew: `python docs/candidates.py`.

It takes some minutes, and is only needed after a change of the networks or of the candidates.
"""

from scantling.scaling.search.architecture_costs import write_table
from scantling.scaling.search.candidates import list_candidates

if __name__ == "__main__":
    write_table(one.spec for one in list_candidates("both"))
