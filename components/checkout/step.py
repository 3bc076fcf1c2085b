"""The work of ``checkout``: git's own fetch, and a bundle in S3."""

from __future__ import annotations

import logging

from components.checkout.contract import Inputs, Outputs
from tiphys.lake import sources
from tiphys.lake.s3 import S3
from tiphys.settings import GitSettings, load
from tiphys.step import Context

log = logging.getLogger(__name__)


def run(inputs: Inputs, _context: Context) -> Outputs:
    """Fetch.

    Raises:
        DataError: there is no such repository or revision.
        PermanentError: it may not be read.
        RetryableError: the repository or S3 is away.
    """
    commit, where = sources.fetch(inputs.repository, inputs.revision, S3(), load(GitSettings))
    log.info("%s of %s is %s", inputs.revision, inputs.repository, commit)
    return Outputs(commit=commit, source=where)
