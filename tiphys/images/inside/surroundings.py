"""What the building machine lends to a build through mounted secrets: its certificate authorities and installers' settings.

Both are mounted at ``/run/secrets`` for one RUN each, so nothing of them stays in an image.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

SECRETS = Path("/run/secrets")
AUTHORITIES = "build-ca"
SETTINGS = "build-env"
JAVA_AUTHORITIES = "build-java-ca"


def environment(secrets: Path = SECRETS) -> dict[str, str]:
    """The environment for programs that download."""
    found = dict(os.environ)
    settings, authorities = secrets / SETTINGS, secrets / AUTHORITIES
    if settings.is_file():
        found |= json.loads(settings.read_text(encoding="utf-8"))
    if authorities.is_file():
        found |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"), str(authorities))
    java = secrets / JAVA_AUTHORITIES
    if java.is_file():
        found["JAVA_TOOL_OPTIONS"] = f"-Djavax.net.ssl.trustStore={java}"
    return found
