"""sprig's functions of paths: purely of their texts."""

from __future__ import annotations

from tiphys.engine.expressions.values import Function


def clean(path: str) -> str:
    """The shortest path that means the same."""
    rooted, parts = path.startswith("/"), list[str]()
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part != "..":
            parts.append(part)
        elif parts and parts[-1] != "..":
            parts.pop()
        elif not rooted:
            parts.append("..")
    return ("/" if rooted else "") + "/".join(parts) or "."


def _base(path: str) -> str:
    if not path:
        return "."
    return path.rstrip("/").rpartition("/")[2] or "/"


def _dir(path: str) -> str:
    return clean(path[: path.rfind("/") + 1])


def _extension(path: str) -> str:
    name = path.rpartition("/")[2]
    return name[name.rfind(".") :] if "." in name else ""


_CALLS = {"base": _base, "dir": _dir, "clean": clean, "ext": _extension, "isAbs": lambda path: path.startswith("/")}
PATHS: dict[str, Function] = {
    **{name: Function(call, "s") for name, call in _CALLS.items()},
    **{f"os{name[0].upper()}{name[1:]}": Function(call, "s") for name, call in _CALLS.items()},
}
