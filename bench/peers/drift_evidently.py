"""Evidently's own tests on windows of errors: BENCH_IN.npz holds ``reference`` and rows of windows, BENCH_OUT.npz gets scores."""

import sys

import numpy as np
import pandas as pd
from evidently.legacy.calculations.stattests import get_stattest
from evidently.legacy.core import ColumnType

METHODS = ("ks", "wasserstein", "psi", "t_test", "cramer_von_mises")
P_VALUES = ("ks", "t_test", "cramer_von_mises")


def main() -> None:
    given = np.load(sys.argv[1])
    reference = pd.Series(given["reference"])
    scores = {}
    for name in given.files:
        if name == "reference":
            continue
        for method in METHODS:
            test = get_stattest(reference, reference, ColumnType.Numerical, method)
            found = [
                float(test(reference, pd.Series(each), ColumnType.Numerical, None).drift_score) for each in given[name]
            ]
            scores[f"{name}|{method}"] = [
                -np.log10(max(each, 1e-300)) if method in P_VALUES else each for each in found
            ]
    np.savez(sys.argv[2], **scores)


main()
