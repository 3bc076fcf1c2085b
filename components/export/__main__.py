"""Run step ``export`` from the command line."""

from components.export.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
