"""Run step ``deploy`` from the command line."""

from components.deploy.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
