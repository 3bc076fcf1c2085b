"""The tracking server and model registry: MLflow in one process, its database in PostgreSQL, its artifacts in S3."""

from __future__ import annotations

from tiphys.stack import config, probes
from tiphys.stack.spec import Command, Plan, Run, Server


def server(plan: Plan) -> Server:
    """MLflow; it loads for seconds, so it starts at once and waits for PostgreSQL itself."""
    ports, home = plan.ports, plan.layout.data("mlflow")
    address = ports.address("mlflow")
    password = plan.keys.passwords["mlflow"]
    environment = plan.environment("mlflow", **config.secrets(plan.settings, plan.keys)["mlflow"]) | {
        "TIPHYS_S3_ENDPOINT": ports.url("s3"),
        "MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg://mlflow:{password}@{ports.address('postgres')}/mlflow",
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"{address},localhost:{ports['mlflow']}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "5",
        "OMP_NUM_THREADS": "1",
    }

    async def prepare(_run: Run) -> None:
        home.mkdir(mode=0o700, exist_ok=True)

    argv = plan.python("-m", "tiphys.stack.mlflow_server", "--port", str(ports["mlflow"]))
    return Server(
        name="mlflow",
        command=Command(argv, environment, home),
        address=address,
        alive=lambda: probes.http_ok(address, "/health"),
        prepare=prepare,
    )
