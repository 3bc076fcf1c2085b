"""alibi-detect's online detector for one number a row: its statistic after each row of streams. Arguments: IN.npz OUT.npz."""

import sys

import numpy as np
from alibi_detect.cd import CVMDriftOnline

WINDOWS = [50, 100, 200, 400]


class Statistic(CVMDriftOnline):
    """Without its own thresholds, which suppose that rows are independent: the bench sets them by real weeks."""

    def _configure_thresholds(self) -> None:
        self.thresholds = np.full((1, 1), np.inf)


def main() -> None:
    given = np.load(sys.argv[1])
    detector = Statistic(given["reference"], ert=20_000, window_sizes=WINDOWS, verbose=False)
    found = {}
    for name in given.files:
        if name == "reference":
            continue
        detector.reset_state()
        found[name] = np.array([detector.score(each).reshape(-1) for each in given[name]], np.float32)
    np.savez(sys.argv[2], **found)


main()
