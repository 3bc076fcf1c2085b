"""The work of ``simulate``: make the stream, let it happen, say every few seconds how far it is, count at the end."""

from __future__ import annotations

import itertools
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from components.simulate.contract import Inputs, Outputs
from tiphys.serving.gateway_client import GatewayClient
from tiphys.serving.livecity import stream
from tiphys.serving.livecity.city import LiveCity
from tiphys.serving.livecity.clock import Clock
from tiphys.settings import AskerSettings, AuditorSettings, load
from tiphys.step import Context, Stopped
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tiphys.serving.livecity.tally import Counts
    from tiphys.usecase import Arrival

_LOOK_SECONDS = 5.0
_END_SECONDS = 20.0
"""What is on its way gets so long when we are told to end; a pod gets 30 s."""

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Let the city live; told to end, it asks nothing more, reports what has ended by then and publishes its counts.

    Raises:
        PermanentError: the gateway does not let us ask.
        SettingsError: there is no such scenario, or the use case brings no simulator.
        DataError: the files are no rides.
        RetryableError: nothing answers at all, or S3 is away.
    """
    use_case = UseCase(inputs.use_case)
    asker = load(AskerSettings)
    city = LiveCity(
        use_case,
        arrivals(use_case, inputs),
        Clock(_seconds(inputs.start), inputs.speed),
        asker=GatewayClient(asker.url, key=asker.key, connections=inputs.at_once + 1),
        auditor=GatewayClient(asker.url, key=load(AuditorSettings).key),
        at_once=inputs.at_once,
        linger=3600.0 * inputs.linger_hours,
        patience=inputs.patience_s,
    )
    city.start()
    try:
        while not city.wait(_LOOK_SECONDS):
            log.info("%s", line(city.counts(), use_case.target.unit))
    except Stopped:
        city.stop()
        city.wait(_END_SECONDS)
        context.publish(told(city.counts(), None))
        raise
    return _ended(city.counts(), inputs, use_case)


def _ended(counts: Counts, inputs: Inputs, use_case: UseCase) -> Outputs:
    log.info("%s", line(counts, use_case.target.unit))
    for reason, number in (counts.refused + counts.lost).most_common():
        log.info("%d times: %s", number, reason)
    whole = not inputs.questions or counts.asked < inputs.questions
    return told(counts, inputs.start + timedelta(hours=inputs.hours) if whole else None)


def arrivals(use_case: UseCase, inputs: Inputs) -> Iterator[Arrival]:
    """The stream that the inputs describe."""
    start, end = _seconds(inputs.start), _seconds(inputs.start + timedelta(hours=inputs.hours))
    found = (
        stream.replayed(use_case, inputs.source, start, end)
        if inputs.source
        else stream.made_up(use_case, start, end, rate=inputs.rate, seed=inputs.seed)
    )
    if inputs.scenario:
        since = _seconds(inputs.scenario_from) if inputs.scenario_from else start
        found = stream.changed(found, stream.scenario(use_case, inputs.scenario), since, inputs.seed)
    return itertools.islice(found, inputs.questions or None)


def line(counts: Counts, unit: str) -> str:
    """How far it is, in one line."""
    text = (
        f"{_time(counts.moment)}: {counts.asked} asked, {counts.answered} answered ({counts.status_quo} by the status quo), "
        f"{sum(counts.refused.values())} refused; {counts.reported} outcomes reported, {sum(counts.lost.values())} lost"
    )
    return text + (f"; off by {counts.mean_error:.4g} {unit} in the mean" if counts.measured else "")


def told(counts: Counts, until: datetime | None) -> Outputs:
    """The counts as outputs; without ``until``, what comes after the last question is still to be asked."""
    after = datetime.fromtimestamp(counts.moment, UTC).replace(tzinfo=None) + timedelta(microseconds=1)
    return Outputs(
        asked=counts.asked,
        answered=counts.answered,
        status_quo=counts.status_quo,
        refused=sum(counts.refused.values()),
        reported=counts.reported,
        trusted=counts.trusted,
        lost=sum(counts.lost.values()),
        mean_error=round(counts.mean_error, 3),
        until=(until or after).isoformat(),
    )


def _seconds(moment: datetime) -> float:
    return moment.replace(tzinfo=UTC).timestamp()


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).replace(tzinfo=None).isoformat(timespec="seconds")
