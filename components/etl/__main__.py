"""Run the component from the command line: ``python -m components.etl --help``."""

from components.etl.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
