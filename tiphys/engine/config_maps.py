"""Values of parameters from ConfigMaps: only from those that say that they hold parameters, as on a cluster."""

from __future__ import annotations

from collections.abc import Mapping

from tiphys.engine.errors import TemplateError

ConfigMaps = Mapping[str, Mapping[str, str]]
"""By name the data of each, and beside it the label TYPE: no key of a ConfigMap has a slash in it."""
TYPE = "workflows.argoproj.io/configmap-type"
_HOLDS_PARAMETERS = "Parameter"


class NotFoundError(TemplateError):
    """There is no such ConfigMap, or no such key in it: a default may stand in."""


def parameter(config_maps: ConfigMaps, name: str, key: str) -> str:
    """The value of a key. Raises NotFoundError, and TemplateError for a ConfigMap that is labelled for something else.

    One without the label is not found either: Argo's controller never sees it.
    """
    data = config_maps.get(name, {})
    if not data.get(TYPE):
        msg = (
            f"ConfigMap '{name}' does not exist. "
            f"Please make sure it has the label {TYPE}: {_HOLDS_PARAMETERS} to be detectable by the controller"
        )
        raise NotFoundError(msg)
    if data[TYPE] != _HOLDS_PARAMETERS:
        msg = f"ConfigMap '{name}' needs to have the label {TYPE}: {_HOLDS_PARAMETERS} to load parameters"
        raise TemplateError(msg)
    if key not in data or key == TYPE:
        msg = f"ConfigMap '{name}' does not have the key '{key}'"
        raise NotFoundError(msg)
    return data[key]
