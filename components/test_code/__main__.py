"""Run step ``test-code`` from the command line."""

from components.test_code.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
