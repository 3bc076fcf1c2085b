"""Which part of the gateway answers a request: by its exact path, or by how its path begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tiphys.serving.gateway.messages import Response, refusal

if TYPE_CHECKING:
    from tiphys.serving.gateway.exchange import Application, Exchange
    from tiphys.serving.gateway.messages import Request


class Switchboard:
    """An application that is made of others."""

    def __init__(self) -> None:
        """Answer nothing yet."""
        self._paths: dict[str, Application] = {}
        self._beginnings: list[tuple[str, Application]] = []

    def mount(self, path: str, application: Application) -> None:
        """Let ``application`` answer one path; who was there first stays."""
        self._paths.setdefault(path, application)

    def mount_below(self, beginning: str, application: Application) -> None:
        """Let ``application`` answer all paths that begin so (``/v2/``) and are nobody's own."""
        self._beginnings.append((beginning, application))

    def _find(self, path: str) -> Application | None:
        found = self._paths.get(path)
        if found is None:
            for beginning, application in self._beginnings:
                if path.startswith(beginning):
                    return application
        return found

    def accept(self, request: Request) -> int | Response:
        """Ask the one whose path it is."""
        found = self._find(request.path)
        if found is None:
            known = ", ".join([*[each for each in self._paths if each.startswith("/v1/")][:5], "/docs"])
            return refusal(404, "not_found", f"there is no {request.path[:100]!r} here; there is {known}")
        return found.accept(request)

    def answer(self, exchange: Exchange) -> None:
        """Have the one answer whose path it is."""
        found = self._find(exchange.request.path)
        if found is not None:
            found.answer(exchange)


def only(request: Request, *methods: str) -> Response | None:
    """A refusal if the request has another method than these, else None."""
    if request.method in methods:
        return None
    allowed = ", ".join(methods)
    return refusal(
        405, "method_not_allowed", f"{request.path[:100]} is asked with {allowed}", f"allow: {allowed}\r\n".encode()
    )
