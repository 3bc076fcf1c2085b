"""``python -m components.summary``."""

from components.summary.contract import CONTRACT
from tiphys.step import main

if __name__ == "__main__":
    main(CONTRACT)
