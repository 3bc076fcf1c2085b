"""Every limit of an alarm. Chosen by bench/drift.py on rides of 2018, one step by 2019: docs/architecture/18-drift.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """What counts as a finding. An alarm needs evidence (it is no chance) and effect (it is worth waking somebody)."""

    psi: float = 0.1
    """Least population stability index of a column, of the answers or of the truths."""
    psi_critical: float = 0.25
    p: float = 1e-6
    """Largest p-value of the corrected chi-square test beside it."""
    fewest: int = 200
    """Rows in a window below which nothing is said of how values are spread."""
    error_longer: float = 4.5
    error_shorter: float = 15.0
    error_wider: float = 7.5
    """Log likelihood ratios at which the sequential tests of errors alarm: truths longer than answers, shorter, further off."""
    error_slice: float = 4.0
    """What a slice needs beyond that, and beyond the logarithm of the number of slices."""
    error_step: float = 0.2
    """Shift of the mean log ratio of truth to answer that the test is sharpest for: 0.2 is a fifth."""
    error_wider_step: float = 0.06
    """The same of the mean distance of errors from their centre, as a share of it: small, as it sees slices that change in part."""
    error_day: float = 6.0
    """Most that one day adds to it: a day of snow is no new world."""
    volume_low: float = 0.3
    volume_high: float = 2.0
    """Rows of the last day, as a share of what its hours lead to expect."""
    volume_z: float = 5.0
    coverage: float = 0.1
    """Distance of the share of truths within their intervals from what is stated."""
    coverage_z: float = 5.0
    estimate: float = 1.15
    """Expected error before truths are known, as a multiple of the evaluation's."""
    strange: float = 0.02
    """Share of rows with a value that is missing or was never seen, beyond the reference's own share."""
    elsewhere: float = 0.1
    """Share of the questions about a moment outside of the window in which they were asked."""
    refused: float = 0.05
    """Share of the reports that cannot be true: outside of what is possible, or known before the end."""
    stuck: float = 0.02
    """Share of rows that have one and the same moment, beyond the reference's own share."""


CHOSEN = Thresholds()
STATED_COVERAGE = 0.8
"""Share of truths that an answer's interval promises to hold."""
