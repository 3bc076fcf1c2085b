"""The figures: of a model and of each baseline, overall and in each slice, under dotted names. Knows no use case.

==================== ==================================================================================
``mae``              mean absolute error, in the target's unit
``p95``              95th percentile of the absolute error
``close_share``      share of answers within the target's ``close``
``bias``             mean of answer minus truth: above zero means too long
``bias_share``       size of the bias as a share of the mean truth
``wape``             sum of absolute errors as a share of the sum of truths (MAPE is unstable on small truths)
``NAME.mae``, ...    the same of baseline NAME
``slice.S.rows``     rows of slice S; ``slice.S.mae`` the model's error there, ``slice.S.NAME_mae`` the baseline's
``champion.rows``    test rows that the champion was asked, if there is one; its figures are those of a baseline
``newest.rows``      test rows, where they are the newest since the world changed; ``newest.mae``, ``newest.NAME_mae``
``holdout.rows``     rows of the trusted holdout, if there is one; ``holdout.mae``, ``holdout.NAME_mae``
==================== ==================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tiphys.usecase import Array, Mask

Figures = dict[str, float]


def of_answers(answers: Array, truth: Array, close: float) -> Figures:
    """Figures of one predictor on all rows."""
    error = answers.astype(np.float64) - truth
    size = np.abs(error)
    bias = float(error.mean())
    return {
        "mae": float(size.mean()),
        "p95": float(np.percentile(size, 95)),
        "close_share": float((size <= close).mean()),
        "bias": bias,
        "bias_share": abs(bias) / float(truth.mean()),
        "wape": float(size.sum() / truth.sum()),
    }


def everything(
    model: Array, baselines: Mapping[str, Array], truth: Array, close: float, slices: Mapping[str, Mask]
) -> Figures:
    """All figures under their dotted names; a slice without rows has only its count."""
    found = of_answers(model, truth, close)
    for name, answers in baselines.items():
        found |= {f"{name}.{figure}": value for figure, value in of_answers(answers, truth, close).items()}
    for name, mask in slices.items():
        found[f"slice.{name}.rows"] = float(mask.sum())
        if mask.any():
            found[f"slice.{name}.mae"] = float(np.abs(model[mask] - truth[mask]).mean())
            for baseline, answers in baselines.items():
                found[f"slice.{name}.{baseline}_mae"] = float(np.abs(answers[mask] - truth[mask]).mean())
    return found


def on(rows: str, model: Array, others: Mapping[str, Array], truth: Array) -> Figures:
    """Errors on some further rows, under their name: ``holdout.rows``, ``holdout.mae``, ``holdout.champion_mae``, ..."""
    found = {f"{rows}.rows": float(len(truth))}
    if len(truth):
        found[f"{rows}.mae"] = float(np.abs(model - truth).mean())
        found |= {f"{rows}.{name}_mae": float(np.abs(answers - truth).mean()) for name, answers in others.items()}
    return found
