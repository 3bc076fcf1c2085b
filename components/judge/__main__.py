"""Run step ``judge`` from the command line."""

from components.judge.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
