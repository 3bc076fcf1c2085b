"""Command line of the step ``evaluate``."""

from components.evaluate.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
