"""What a stack tells those who work with it: addresses and their own keys. It asks no server, and imports little."""

from __future__ import annotations

from collections.abc import Mapping

from tiphys.errors import SettingsError
from tiphys.settings import StackSettings
from tiphys.stack import config, keys
from tiphys.stack.layout import Layout
from tiphys.step import Contract


def environment(settings: StackSettings, contracts: Mapping[str, Contract], name: str) -> dict[str, str]:
    """What a component's step finds in its environment: the ConfigMap and its own Secret.

    Raises:
        SettingsError: nobody has that name, or no stack was ever started here.
    """
    path = Layout.of(settings).secrets / "keys.json"
    if not path.exists():
        message = f"no servers were ever started in {settings.home}: run 'tiphys up' first"
        raise SettingsError(message)
    kept = keys.ensure(path, contracts)
    if name == "argo":
        return config.argo(settings, kept)
    found = config.secrets(settings, kept)
    if name not in found:
        message = f"nobody is called {name!r}; there are argo, {', '.join(sorted(found))}"
        raise SettingsError(message)
    return config.config_map(settings, kept) | found[name]
