"""Run step ``canary`` from the command line."""

from components.canary.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
