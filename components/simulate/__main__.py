"""Run step ``simulate`` from the command line."""

from components.simulate.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
