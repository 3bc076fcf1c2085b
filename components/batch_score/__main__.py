"""Run the component from the command line: ``python -m components.batch_score --help``."""

from components.batch_score.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
