"""Run step ``checkout`` from the command line."""

from components.checkout.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
