"""Run the component from the command line: ``python -m components.collect_outcomes --help``."""

from components.collect_outcomes.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
