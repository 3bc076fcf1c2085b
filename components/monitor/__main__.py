"""Run the component from the command line: ``python -m components.monitor --help``."""

from components.monitor.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
