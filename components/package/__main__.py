"""Run step ``package`` from the command line."""

from components.package.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
