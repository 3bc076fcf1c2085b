"""Run step ``promote`` from the command line."""

from components.promote.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
