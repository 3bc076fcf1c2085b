"""Run step ``deploy-service`` from the command line."""

from components.deploy_service.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
