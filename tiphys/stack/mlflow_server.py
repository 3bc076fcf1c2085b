"""The program behind the server ``mlflow``: MLflow's own application in one process.

``mlflow server`` starts a second process and keeps the first, 200 MB, only to wait for it; and it reaches S3 through
boto3, which nothing else here needs. This program serves the same application, in itself, with MinIO's client.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m tiphys.stack.mlflow_server", description=main.__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    database = os.environ["MLFLOW_BACKEND_STORE_URI"]
    os.environ.update(_server_environment(database))

    import uvicorn  # noqa: PLC0415 - MLflow reads its environment when it is imported
    from mlflow.server import handlers  # noqa: PLC0415
    from mlflow.server.fastapi_app import app  # noqa: PLC0415
    from mlflow.store.artifact import artifact_repository_registry as registry  # noqa: PLC0415

    from tiphys.stack.mlflow_artifacts import MinioArtifactRepository  # noqa: PLC0415

    registry._artifact_repository_registry.register("s3", MinioArtifactRepository)  # noqa: SLF001 - the plugin's way in
    _wait_for(database)
    handlers.initialize_backend_stores(database, database, "mlflow-artifacts:/")
    uvicorn.run(app, host="127.0.0.1", port=port, workers=1, log_level="warning", access_log=False)


def _server_environment(database: str) -> dict[str, str]:
    from mlflow.server import constants  # noqa: PLC0415

    return {
        constants.BACKEND_STORE_URI_ENV_VAR: database,
        constants.REGISTRY_STORE_URI_ENV_VAR: database,
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: "s3://mlflow/artifacts",
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": Path("/proc/sys/kernel/random/uuid").read_text(encoding="ascii").strip(),
    }


def _wait_for(database: str, seconds: float = 90.0) -> None:
    import psycopg  # noqa: PLC0415

    until = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(database.replace("+psycopg", "", 1), connect_timeout=5).close()
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return


if __name__ == "__main__":
    main()
