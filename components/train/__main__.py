"""Command line of the step ``train``."""

from components.train.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
