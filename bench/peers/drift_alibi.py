"""alibi-detect's online detector for one number a row: its statistic after each row of streams. Arguments: IN.npz OUT.npz."""

import sys

import numpy as np
from alibi_detect.cd import CVMDriftOnline

WINDOWS = [50, 100, 200, 400]


def main() -> None:
    given = np.load(sys.argv[1])
    detector = CVMDriftOnline(given["reference"], ert=200, window_sizes=WINDOWS, n_bootstraps=2000, verbose=False)
    found = {}
    for name in given.files:
        if name == "reference":
            continue
        detector.reset_state()
        rows = [detector.predict(each)["data"]["test_stat"] for each in given[name]]
        found[name] = np.array([np.broadcast_to(each, len(WINDOWS)) for each in rows], np.float32)
    np.savez(sys.argv[2], **found)


main()
