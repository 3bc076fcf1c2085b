"""A person's folder as a parameter: uploaded first, because a step cannot see this machine's folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tiphys.errors import SettingsError

if TYPE_CHECKING:
    from tiphys.engine import Engine
    from tiphys.lake.s3 import S3

PRINCIPAL = "tiphys-cli"


def upload(engine: Engine, pairs: list[str]) -> dict[str, str]:
    """Upload each PARAMETER=FOLDER; the answers are the parameters' values.

    Raises:
        TiphysError: the servers are down, or a folder has nothing usable.
    """
    if not pairs:
        return {}
    from tiphys.lake.s3 import S3
    from tiphys.settings import S3Settings, load

    addresses = engine.objects.data("ConfigMap", "tiphys")
    keys = engine.objects.data("Secret", PRINCIPAL)
    if addresses is None or keys is None:
        message = "there is no S3 server to upload to: start the embedded servers with 'tiphys up'"
        raise SettingsError(message)
    return _uploaded(pairs, S3(load(S3Settings, {**addresses, **keys})))


def upload_from_settings(pairs: list[str]) -> dict[str, str]:
    """The same to the S3 server that the environment names: the one that a cluster's steps read.

    Raises:
        TiphysError: no server is named, it does not answer, or a folder has nothing usable.
    """
    if not pairs:
        return {}
    from tiphys.lake.s3 import S3
    from tiphys.settings import S3Settings, load

    return _uploaded(pairs, S3(load(S3Settings)))


def _uploaded(pairs: list[str], store: S3) -> dict[str, str]:
    from tiphys.lake.upload import upload_folder

    values = {}
    for pair in pairs:
        name, separator, folder = pair.partition("=")
        if not separator:
            message = f"--upload {pair}: write PARAMETER=FOLDER"
            raise SettingsError(message)
        print(f"uploading {folder}", flush=True)
        values[name] = upload_folder(folder, store)
    return values
