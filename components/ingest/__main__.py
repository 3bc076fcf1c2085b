"""Run the component from the command line: ``python -m components.ingest --help``."""

from components.ingest.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
