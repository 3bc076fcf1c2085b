"""Run step ``build-images`` from the command line."""

from components.build_images.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
