"""The embedded servers, supervised: real S3, PostgreSQL, MLflow, Ray, Triton and our own services on one laptop.

::

    info = up(stack_settings(), contracts(), print)
    info.config_map["TIPHYS_MLFLOW_URL"], info.secrets["train"]
"""

from tiphys.stack.control import StackInfo, down, environment, up
from tiphys.stack.doctor import Check, doctor
from tiphys.stack.report import Row, status
from tiphys.stack.state import ServerState

__all__ = ["Check", "Row", "ServerState", "StackInfo", "doctor", "down", "environment", "status", "up"]
