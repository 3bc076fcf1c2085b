"""The embedded servers, supervised: real S3, PostgreSQL, MLflow, Ray, Triton and our own services on one laptop.

::

    info = up(stack_settings(), contracts(), print)
    info.config_map["TIPHYS_MLFLOW_URL"], info.secrets["train"]
"""

from tiphys.stack.control import StackInfo, down, up
from tiphys.stack.report import Row, status
from tiphys.stack.state import ServerState

__all__ = ["Row", "ServerState", "StackInfo", "down", "status", "up"]
