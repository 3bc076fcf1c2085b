"""What the server is, and who asks."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from starlette.responses import Response

from tiphys.engine.server.call import Call, answer

ARGO = "v4.1.2"
"""Whose API this is: clients compare it with their own version."""


async def get_info(_call: Call) -> Response:
    """`GET /api/v1/info`: an empty managedNamespace means that all can be seen."""
    modals = dict.fromkeys(("feedback", "firstTimeUser", "newVersion"), False)
    return answer({"managedNamespace": "", "links": [], "columns": [], "navColor": "", "modals": modals})


async def get_version(_call: Call) -> Response:
    """`GET /api/v1/version`."""
    try:
        ours = version("tiphys")
    except PackageNotFoundError:
        ours = "unknown"
    return answer({
        "version": f"{ARGO}+tiphys.{ours}", "buildDate": "1970-01-01T00:00:00Z", "gitCommit": "", "gitTag": ARGO,
        "gitTreeState": "clean", "goVersion": "", "compiler": platform.python_implementation(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    })  # fmt: skip


async def get_user(call: Call) -> Response:
    """`GET /api/v1/userinfo`: only an administrator gets here. The web UI opens the namespace that it finds here."""
    where = call.desk.engine.namespace
    return answer(
        {"subject": "admin", "issuer": "tiphys", "groups": ["admin"], "name": "admin", "serviceAccountNamespace": where}
    )


async def collect(_call: Call) -> Response:
    """`POST /api/v1/tracking/event`: the web UI tells what is clicked; it is not kept."""
    return answer({})
