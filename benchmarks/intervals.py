"""How often the intervals of leads are wrong, and how often they find a lead: simulated studies whose truth is known.

    python benchmarks/intervals.py [--repetitions 2000]

Two methods are measured with errors of seeds and of videos. "False" is how often a lead of zero is called one, on one
side (2.5 % is promised); "found" how often one of four standard errors is (98 % if the variances were known). Beside
this project's rule stand two others on the same terms: Welch and Satterthwaite's degrees of freedom, and for the whole
sum those of its seeds.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
from scipy.special import stdtrit

from soundprompt.evaluation.statistics import TAIL, Contributions, Estimate, difference

SEEDS, VIDEOS, SHARES, LEAD = (2, 3, 5, 10), (12, 60), (0.0, 0.25, 0.5, 0.75, 0.9, 1.0), 4.0


def simulated(rng: np.random.Generator, seeds: int, videos: int, share: float, lead: float) -> Estimate:
    """A measured lead with a standard error of 1, of whose square `share` comes from seeds."""
    names, pair = tuple(map(str, range(videos))), []
    for true in (lead, 0.0):
        of_seed = rng.normal(0, (share * seeds / 2) ** 0.5, (seeds, 1))
        values = true + of_seed + rng.normal(0, ((1 - share) * videos / 2) ** 0.5, videos)
        pair.append(Contributions(values, np.ones_like(values), tuple(range(seeds)), names))
    return difference(*pair)


def halves(found: Estimate) -> tuple[float, float, float]:
    """Half of the 95 % interval by this project's rule, by Welch's and by the seeds' degrees of freedom."""
    variance, freedom = (np.array(part) for part in zip(*found.terms, strict=True))
    total = variance.sum()
    welch = total**2 / (variance**2 / freedom).sum()
    return found.high - found.value, *(-stdtrit(n, TAIL) * total**0.5 for n in (welch, freedom[0]))


def rates(repetitions: int, *cell) -> tuple[np.ndarray, np.ndarray]:
    """Shares of false leads, on one side, and of leads found, by each of the rules."""
    rng = np.random.default_rng(0)
    false, found = np.zeros(3), np.zeros(3)
    for _ in range(repetitions):
        nothing, something = (simulated(rng, *cell, lead) for lead in (0.0, LEAD))
        false += abs(nothing.value) > np.array(halves(nothing))
        found += something.value > np.array(halves(something))
    return false / repetitions / 2, found / repetitions


def main() -> None:
    """Prints a line for each number of seeds and videos and share of the seeds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=2000)
    repetitions = parser.parse_args().repetitions
    print(f"{'':>30}   false leads, %      leads found, %")
    print("seeds videos share of seeds   ours Welch seeds    ours Welch seeds")
    for seeds, videos, share in product(SEEDS, VIDEOS, SHARES):
        false, found = (100 * part for part in rates(repetitions, seeds, videos, share))
        numbers = " ".join(f"{value:5.1f}" for value in false), " ".join(f"{value:5.0f}" for value in found)
        print(f"{seeds:5} {videos:6} {share:14.2f}  {numbers[0]}   {numbers[1]}")


if __name__ == "__main__":
    main()
