"""Run step ``claim-training`` from the command line."""

from components.claim_training.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
