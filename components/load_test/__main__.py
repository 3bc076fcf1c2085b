"""Run step ``load-test`` from the command line."""

from components.load_test.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
