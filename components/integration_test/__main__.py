"""Run step ``integration-test`` from the command line."""

from components.integration_test.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
