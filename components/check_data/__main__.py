"""Run the component from the command line: ``python -m components.check_data --help``."""

from components.check_data.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
