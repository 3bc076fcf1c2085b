"""What a user brings: a package with fixed module names, loaded by name, one part at a time.

``usecases/NAME/`` (or any importable package, given with dots) holds

============== =====================================================================================
``data.py``      ``DATA: DataContract``: columns, dialects, rules that reject a row, bounds of a version
``features.py``  ``FEATURES: tuple[Feature, ...]``, ``TARGET: Target``, ``COLUMNS``: the table's columns that
               ``examples(table) -> Examples`` needs of a pyarrow table
``model.py``     ``CONFIG: TrainConfig``, ``build(config, history=None) -> nn.Module``,
               ``training_rows(config, history) -> dict[str, Array]`` (needs torch, not Lightning)
``training.py``  ``learner(model, config) -> LightningModule`` (needs Lightning; only the training job loads it)
``baselines.py`` ``BASELINES: dict[str, Baseline]``: what the model is compared with (``status_quo`` is one); ``YARDSTICK`` may name
               the one that a retraining chooses its window by: quick to fit (``status_quo`` otherwise)
``candidates.py`` ``CANDIDATES: dict[str, Candidate]``: what may be served instead of the model where a champion is to be beaten,
               under the names of baselines; may be missing
``slices.py``    ``SLICES: dict[str, Slice]``: named parts of the test rows
``gates.py``     ``GATES: tuple[Gate, ...]``: what a model must show before it is registered
``slo.py``       ``SLO: Slo`` and ``LOAD: LoadProfile``: what is demanded of the service, and why
``fallback.py``  ``fit(history) -> dict[str, Array]`` and ``answer(arrays, row) -> float``: the status quo in plain NumPy, for
               the gateway when no model answers; may be missing
``personas.py``  ``PERSONAS: tuple[Persona, ...]``: who asks, for artificial users in the canary
``api.py``       ``API: Api``: the rider-facing (user-facing) request and answer of the gateway
``simulator.py`` ``simulate(folder, rows, seed, ...)``: files in the schema of ``data.py``; ``arrivals(start, end, *, rate, seed)
               -> Iterator[Arrival]``: the same world live, in time order, ``rate`` in rides an hour;
               ``replay(table) -> Iterator[Arrival]``: rows of files as people who ask; may be missing
``live.py``      ``LIVE: Live``: how the log of live answers is read and becomes training data
``scenarios.py`` ``SCENARIOS: dict[str, Scenario]``: how the world, or those who ask, may change; ``REHEARSAL: Rehearsal``: what
               such a change is rehearsed with
``recent.py``    ``RECENT: LiveFeature``: an input that the platform fills from what finished lately; may be missing
``watched.py``   ``WATCHED: tuple[Watched, ...]``: what is looked at for drift, beside answers and errors
``policy.py``    ``POLICY: Policy``: when an alert may start a training
============== =====================================================================================

Parts are imported when first asked for, so the gateway never loads torch. Nothing here knows about taxis.

**The model's protocol.** ``build`` makes a ``torch.nn.Module`` that is called with one tensor [n] a feature, in the order
of ``FEATURES``, and returns float32 [n]. Its *parameters* are learnt; its *buffers* are computed from ``history`` (lookups,
means, scales). Without ``history`` the buffers are blank and of the same shapes: weights are loaded into it.

``training_rows`` makes one equally long array for each thing that a training batch holds: normally the features, ``target``,
and whatever a row may only know out-of-fold, such as lookups made without that row. ``learner`` wraps the model for
training; its ``training_step`` gets a dict of tensors cut from those arrays, its ``validation_step`` a dict of the features
and ``target``, and must log ``validation_mae``. The model's parameters are those of the learner.

``train`` splits by time: the last month is the test month and not read; the month before is for early stopping; all
before is the first ``history``. Afterwards ``build`` is called once more with the validation month added to the
history, and the learnt parameters of the best epoch are put into that: recent rides inform the lookups that are served.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tiphys.errors import SettingsError

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    import numpy.typing as npt
    from pydantic import BaseModel
    from torch import nn

    Array = npt.NDArray[Any]
    Mask = npt.NDArray[np.bool_]

ColumnType = Literal["timestamp", "int", "long", "double", "string"]


@dataclass(frozen=True)
class Column:
    """One column of the raw files.

    ``aliases`` are the names that other dialects give it; ``required`` means that a file without it is refused.
    """

    name: str
    type: ColumnType
    description: str
    aliases: tuple[str, ...] = ()
    required: bool = True


@dataclass(frozen=True)
class Derived:
    """A column computed from the others: a Spark SQL expression."""

    name: str
    type: ColumnType
    sql: str
    description: str


@dataclass(frozen=True)
class Rule:
    """A reason to reject a row: a Spark SQL predicate that is true for a bad row. The first that holds is recorded."""

    reason: str
    sql: str


@dataclass(frozen=True)
class DataContract:
    """What a row is, which rows are refused, and what a whole version must look like."""

    table: str
    columns: tuple[Column, ...]
    time: str
    """Name of the timestamp column: its month is the row's partition."""
    derived: tuple[Derived, ...]
    rules: tuple[Rule, ...]
    bounds: Mapping[str, tuple[float, float]]
    """Closed interval that every value of a column of the version lies in."""
    min_rows_per_month: int
    max_reject_share: float
    """Most that may be rejected of a month, 0..1, before the pipeline stops."""
    max_shift: Mapping[str, float] = field(default_factory=dict)
    """Most that a column's median may move against the last trained version, as a share of that median."""


@dataclass(frozen=True)
class Feature:
    """One input tensor of the model, one number a row: its name in ONNX and Triton, its type, its meaning."""

    name: str
    dtype: Literal["int64", "float32"]
    description: str


@dataclass(frozen=True)
class Target:
    """What is predicted: the name of the model's output in ONNX and Triton, its unit, and what counts as close.

    ``close`` is the absolute error, in that unit, up to which a user is content: evaluate tells the share within it.
    """

    name: str
    unit: str
    close: float
    description: str

    @property
    def outputs(self) -> tuple[str, str, str]:
        """Names of the served model's outputs: the answer, and the ends of the interval around it."""
        return self.name, f"{self.name}_low", f"{self.name}_high"


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained. What only its own code needs to know stays in that code."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    patience: int = 3
    """Epochs without a better ``validation_mae`` before training ends."""
    folds: int = 5
    """Parts that out-of-fold lookups are made with."""
    seed: int = 0


@dataclass(frozen=True)
class Examples:
    """Rows as the model sees them: equally long vectors.

    ``features`` holds only what is known when the question is asked; ``hindsight`` holds columns known only
    afterwards that past rows may contribute to lookups (never a row's own when it is predicted). ``weight`` says how much
    each row counts among past rows: after a change of the world the recent ones count for more.
    """

    features: Mapping[str, Array]
    target: Array
    """What is predicted, float32, in the use case's unit."""
    month: Array
    """Month of each row as int32: year * 12 + month - 1."""
    hindsight: Mapping[str, Array] = field(default_factory=dict)
    weight: Array | None = None
    """How many usual rows each row counts for, float64, above 0; None: all count alike."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.target)

    def where(self, mask: Array) -> Examples:
        """Rows for which ``mask`` holds (boolean, or row numbers)."""
        return Examples(
            {name: values[mask] for name, values in self.features.items()},
            self.target[mask],
            self.month[mask],
            {name: values[mask] for name, values in self.hindsight.items()},
            None if self.weight is None else self.weight[mask],
        )


def joined(parts: Sequence[Examples]) -> Examples:
    """Rows of several parts after one another; weights stay if all have them."""
    import numpy as np  # noqa: PLC0415 - whoever only asks what a use case is need not load it

    def whole(chosen: Callable[[Examples], Array]) -> Array:
        return np.concatenate([chosen(each) for each in parts])

    first = parts[0]
    return Examples(
        {name: whole(lambda each, name=name: each.features[name]) for name in first.features},  # type: ignore[misc]
        whole(lambda each: each.target),
        whole(lambda each: each.month),
        {name: whole(lambda each, name=name: each.hindsight[name]) for name in first.hindsight},  # type: ignore[misc]
        None if any(each.weight is None for each in parts) else whole(lambda each: each.weight),  # type: ignore[arg-type,return-value]
    )


Predictor = Callable[[Mapping[str, "Array"]], "Array"]
"""features -> predictions, float32 [rows]."""

Baseline = Callable[["Examples"], Predictor]
"""Fits on past rows and answers with a predictor."""


@dataclass(frozen=True)
class Candidate:
    """A baseline in a form that can be served: a ``torch.nn.Module`` called as the model is, that ``torch.onnx`` can export."""

    fit: Callable[[Examples], nn.Module]
    """Fits on past rows."""
    blank: Callable[[Mapping[str, tuple[int, ...]]], nn.Module]
    """Shapes of its tensors, by name -> the same module with nothing in it, for weights to be loaded into."""


Slice = Callable[["Examples", "Examples"], "Mask"]
"""(test rows, past rows) -> boolean mask over the test rows."""


@dataclass(frozen=True)
class Gate:
    """One demand on a candidate: ``metric`` (dotted, as evaluate names it) compared with ``limit``.

    ``limit`` is a number or the name of another metric times ``factor``: mae <= 0.9 * status_quo.mae.
    """

    metric: str
    compare: Literal["<=", ">="]
    limit: float | str
    reason: str
    factor: float = 1.0
    needs: tuple[str, ...] = ()
    """Counts of rows (dotted, as evaluate names them) that the demand is about: with fewer than 30 of one it is not judged."""


@dataclass(frozen=True)
class Slo:
    """What the service owes its users. Every figure has its business reason in ``reasons``, under the field's name."""

    p95_ms: float
    """Latency of one question, as the asker sees it."""
    p99_ms: float
    deadline_ms: float
    """After so long an answer is worth nothing: the gateway answers with the status quo instead."""
    max_error_share: float
    rate: float
    """Questions a second in the busiest hour."""
    concurrency: int
    """Questions that are open at once in the busiest hour."""
    batch_rows_per_s: float
    """Rows a second of a batch on one core."""
    max_model_mb: float
    max_loss: float
    """Most that a variant's error may be above the fp32 model's, as a share of it."""
    reasons: Mapping[str, str]


@dataclass(frozen=True)
class Persona:
    """An artificial user of the canary: which real rides are theirs, and how they ask."""

    name: str
    story: str
    """Who they are and what a wrong or late answer costs them: a sentence or two."""
    chooses: Callable[[Examples], Mask]
    """Which of the held-out examples are theirs."""
    asks: int = 1
    """How often they ask for one ride: each move of the pin is a question."""
    weight: float = 1.0
    """Their share among the personas."""


@dataclass(frozen=True)
class Live:
    """How the log of live answers is read, and how an answered question becomes a row of training data."""

    moment: str
    """Feature with the moment that a question is about, seconds since 1970 by the use case's own clock; empty: when it was answered."""
    possible: tuple[float, float]
    """Closed interval, in the target's unit, that a true value lies in; an outcome outside of it is quarantined."""
    facts: Mapping[str, str]
    """What else an outcome may report: name -> meaning with unit."""
    to_row: Callable[[Mapping[str, int | float], float, Mapping[str, float]], dict[str, Any]]
    """(features, true value, facts) -> a raw row by the names of ``data.py``; a fact that is missing leaves its columns out."""


@dataclass(frozen=True)
class LiveFeature:
    """An input of the model that nobody who asks can know: how far what finished lately is from what did before, by group.

    The value is the mean of what those of the last ``window_s`` say less the mean of those of ``level_s``, drawn to ``fallback``.

    A use case that has one names it in ``FEATURES`` as float32; its ``to_features`` and ``examples`` say ``fallback`` for it, and
    the platform puts the value in: at serving from a table that ``collect_outcomes`` keeps, at training by the same function.
    All times are seconds of the use case's own clock, which ``LIVE.moment`` must name.
    """

    name: str
    """Name of the feature."""
    description: str
    version: int
    """To be raised with any change of ``group`` or ``says``: values of another version are never served."""
    groups: int
    group: Callable[[Mapping[str, Any]], Any]
    """Features -> group, 0..groups-1; of vectors, and of one row's numbers alike."""
    says: Callable[[Mapping[str, Array], Array, Mapping[str, Array]], Array]
    """(features, true values, facts) -> what each finished one says, float64; NaN: nothing. What training rows know of a fact
    is their hindsight of that name, float32; a fact that nobody told is NaN."""
    lag_s: float
    """From the end to the report, where nobody told when it became known."""
    window_s: int
    """What ended so long before a step, and was known at the step, counts."""
    level_s: int
    """What ended so long before a step is what they are held against: a change that lasts longer is no news any more."""
    step_s: int
    """Values are made for every multiple of it: a question gets that of the last step before its moment, or at it."""
    prior: float
    """The mean is drawn to ``fallback`` as if so many said that: of few ones little is believed."""
    fallback: float
    """What stands for a value that is not known: as usual."""
    stale_s: float
    """A value that was made for a step so long before the question's moment is not believed any more."""
    reasons: Mapping[str, str]
    """Why each figure is what it is, under its name."""

    def definition(self) -> str:
        """Name what values mean: those of another definition are other values. 16 hexadecimal digits."""
        meant = (
            self.name, self.version, self.groups, self.lag_s, self.window_s, self.level_s, self.step_s, self.prior, self.fallback,
        )  # fmt: skip
        return hashlib.sha256(repr(meant).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody asks, and later the truth is known."""

    moment: float
    """When it is asked, seconds since 1970 by the use case's own clock."""
    persona: str
    request: Mapping[str, Any]
    """What is posted to ``/v1/<route>``."""
    actual: float | None
    """The true value, in the target's unit; None: nobody ever reports it."""
    known_at: float
    """When it is reported, on the same clock as ``moment``."""
    facts: Mapping[str, float] = field(default_factory=dict)
    trusted: bool = False
    """Whether the operator's own meter reports it; what is wrong with a client never touches that."""


@dataclass(frozen=True)
class Scenario:
    """A change of the world, or of those who ask, laid over arrivals from some moment on."""

    name: str
    story: str
    """What happened, and what it does to users: a sentence or two."""
    shows: tuple[str, ...]
    """Kinds of alert that it must raise, one at least: data, prediction, label, error, calibration, volume, quality."""
    change: Callable[[Arrival, np.random.Generator], Arrival | None]
    """An arrival -> what comes instead; None: it does not come at all."""


@dataclass(frozen=True)
class Rehearsal:
    """What a change of the world is rehearsed with: the files of the first model, made by the use case's own simulator."""

    rows: int
    """As many as its gate needs, and no more to wait for."""
    months: str = ""
    """FIRST..LAST, like 2018-01..2019-06; the live world goes on where they end. Empty: the simulator's own."""


@dataclass(frozen=True)
class Watched:
    """One thing that is looked at for drift."""

    name: str
    kind: Literal["number", "category"]
    description: str
    of: Callable[[Mapping[str, Array]], Array]
    """Features -> one value a row; categories are whole numbers."""


@dataclass(frozen=True)
class Policy:
    """When an alert may start a training; every duration is in seconds of the governor's clock."""

    debounce_s: float
    """Alerts of one fingerprint within so long of the first are one: it is decided when they have settled."""
    cooldown_s: float
    """No training starts so soon after the last one started."""
    budget: int
    """Trainings at most within ``budget_s``."""
    budget_s: float
    min_labelled: int
    """Labelled rows since the drift began that a training needs to learn anything new, and of which the newest fifth is
    enough for the canary's riders to ask about: with a few hundred rows a trial ends as *not enough*."""
    reasons: Mapping[str, str]
    """Why each figure is what it is, under its name."""


@dataclass(frozen=True)
class LoadProfile:
    """What the load test asks of the service. Every figure has its business reason in ``reasons``."""

    rate: float
    """Requests a second, all users together."""
    seconds: float
    users: int
    p95_ms: float
    max_error_share: float
    reasons: Mapping[str, str]
    max_p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the gateway has to say to one question, before the use case puts it into words."""

    value: float
    low: float | None
    """Lower end of the interval that holds the truth four times in five; None where the model has none."""
    high: float | None
    version: str
    """Version of the model that answered; empty for the status quo."""
    id: str
    """Names this answer, for feedback."""
    source: Literal["model", "status_quo"] = "model"


@dataclass(frozen=True)
class Api:
    """The user-facing question: mounted by the gateway as ``POST /v1/<route>``."""

    route: str
    request: type[BaseModel]
    answer: type[BaseModel]
    to_features: Callable[[Any], dict[str, int | float]]
    """A request -> one value a feature. Raises ValueError with a clear text for what the model cannot know."""
    to_answer: Callable[[Prediction], Any]
    """A prediction -> answer."""
    to_request: Callable[[Mapping[str, int | float]], dict[str, Any]]
    """One value a feature -> the request as a JSON object: what a past ride would have asked."""
    examples: tuple[Mapping[str, Any], ...]
    """Requests as JSON objects that are valid: for the docs, the load test and ``tiphys predict``."""


class UseCase:
    """A use case by name: ``taxi_eta`` is ``usecases.taxi_eta``; a dotted name is a package of its own."""

    def __init__(self, name: str) -> None:
        """Find the package; its parts are imported on demand."""
        self.name = name.rpartition(".")[2]
        self.package = name if "." in name else f"usecases.{name}"
        try:
            importlib.import_module(self.package)
        except ModuleNotFoundError as error:
            message = f"no use case {name!r}: there is no package {self.package!r} ({error}); see the folder usecases/"
            raise SettingsError(message) from error

    def part(self, module: str) -> ModuleType:
        """Import one part, for instance ``model``.

        Raises:
            SettingsError: the use case has no such part.
        """
        try:
            return importlib.import_module(f"{self.package}.{module}")
        except ModuleNotFoundError as error:
            if error.name != f"{self.package}.{module}":
                raise
            message = f"use case {self.name!r} has no {module}.py; tiphys/usecase.py says what belongs there"
            raise SettingsError(message) from error

    @property
    def candidates(self) -> Mapping[str, Candidate]:
        """What may be served instead of its model; nothing where it has no ``candidates.py``."""
        if importlib.util.find_spec(f"{self.package}.candidates") is None:
            return {}
        found: Mapping[str, Candidate] = self.part("candidates").CANDIDATES
        return found

    @property
    def data(self) -> DataContract:
        """Its data contract."""
        contract: DataContract = self.part("data").DATA
        return contract

    @property
    def features(self) -> tuple[Feature, ...]:
        """The model's inputs."""
        found: tuple[Feature, ...] = self.part("features").FEATURES
        return found

    @property
    def target(self) -> Target:
        """What the model predicts."""
        found: Target = self.part("features").TARGET
        return found

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that its examples are made from."""
        found: tuple[str, ...] = self.part("features").COLUMNS
        return found

    def examples(self, table: Any) -> Examples:
        """Turn clean rows, a pyarrow table with ``columns``, into examples; a live feature is at its fallback."""
        made: Examples = self.part("features").examples(table)
        return made

    def past(self, table: Any) -> Examples:
        """Turn clean rows of past months into examples; a live feature is what these rows would have had it be.

        Rows of an earlier month are needed for the first hours of a later one: give whole versions.
        """
        from tiphys import recent  # noqa: PLC0415 - NumPy, for who reads rows

        made = self.examples(table)
        return made if self.recent is None else recent.filled(self.recent, self.live.moment, made)

    @property
    def api(self) -> Api:
        """The user-facing question and answer."""
        found: Api = self.part("api").API
        return found

    @property
    def recent(self) -> LiveFeature | None:
        """The input that the platform fills; None where it has no ``recent.py``.

        Raises:
            SettingsError: what it says does not fit the other parts.
        """
        if importlib.util.find_spec(f"{self.package}.recent") is None:
            return None
        found: LiveFeature = self.part("recent").RECENT
        wrong = _unfit(found, self)
        if wrong:
            message = f"use case {self.name!r}: recent.py: {wrong}; see LiveFeature in tiphys/usecase.py"
            raise SettingsError(message)
        return found

    @property
    def live(self) -> Live:
        """How its log of live answers is read."""
        found: Live = self.part("live").LIVE
        return found


def _unfit(feature: LiveFeature, use_case: UseCase) -> str:
    dtype = {each.name: each.dtype for each in use_case.features}.get(feature.name)
    if dtype != "float32":
        return f"FEATURES has no {feature.name!r} of float32"
    if not use_case.live.moment or use_case.target.unit != "s":
        return (
            "LIVE must name the feature with the moment, and the target be in seconds: else nobody knows when one ends"
        )
    least = min(feature.groups, feature.window_s, feature.step_s)
    if least < 1 or feature.level_s < feature.window_s or feature.prior <= 0 or feature.lag_s < 0:
        return "groups, window_s, step_s and prior must be above 0, level_s at least window_s, lag_s not below 0"
    if feature.stale_s < feature.step_s:
        return "stale_s is less than step_s: between two steps nothing would be known"
    return ""
