"""Drift: has the world left the one that the model was trained on? Plain NumPy; no S3, no tables, no use case by name.

``sketch``, ``shift``   how a column's values are spread, as counts in bins that are made once; two of them compared
``residuals``           what the model's errors looked like where it was evaluated, in all and in each slice
``ledger``              sums of live rows by hour of the use case's own clock: merged by adding, run again by replacing
``sequential``          the test of errors that goes on from day to day, with a stated rate of false alarms
``volume``, ``quality``, ``expected``   too few or too many rows; values that cannot be; the error before truths are known
``reference``           all that is made once from a version's own data, with one address for its content
``watch``               one look at a window: findings, figures, and the state for the next look
``thresholds``          every limit, chosen on 2018 by bench/drift.py
"""
