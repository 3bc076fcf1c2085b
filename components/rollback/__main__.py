"""Run step ``rollback`` from the command line."""

from components.rollback.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
