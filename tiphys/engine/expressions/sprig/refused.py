"""The functions of sprig that a run must not depend on."""

from __future__ import annotations

from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.values import Function

_NAMES = [
    "bcrypt",
    "htpasswd",
    "genPrivateKey",
    "derivePassword",
    "buildCustomCert",
    "genCA",
    "genCAWithKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "encryptAES",
    "decryptAES",
    "randBytes",
    "randAlphaNum",
    "randAlpha",
    "randAscii",
    "randNumeric",
    "randInt",
    "shuffle",
    "uuidv4",
    "getHostByName",
]


def _refuse(name: str) -> Function:
    def call(*_arguments: Any) -> Any:
        msg = f"sprig.{name} is not available here: its answer is random or comes from outside; make it in a step"
        raise ExpressionError(msg)

    return Function(call, "a*")


REFUSED = {name: _refuse(name) for name in _NAMES}
