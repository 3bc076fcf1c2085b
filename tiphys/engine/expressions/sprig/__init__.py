"""The functions of `sprig.*`, as Argo offers them: all of sprig's but env and expandenv.

Those that make keys, certificates, passwords or random texts, and those that ask the network, are refused when called.
"""

from tiphys.engine.expressions.sprig.dates import DATES
from tiphys.engine.expressions.sprig.lists import LISTS
from tiphys.engine.expressions.sprig.maps import MAPS
from tiphys.engine.expressions.sprig.numeric import NUMBERS
from tiphys.engine.expressions.sprig.paths import PATHS
from tiphys.engine.expressions.sprig.patterns import PATTERNS
from tiphys.engine.expressions.sprig.refused import REFUSED
from tiphys.engine.expressions.sprig.texts import TEXTS
from tiphys.engine.expressions.sprig.urls import URLS
from tiphys.engine.expressions.sprig.values import VALUES
from tiphys.engine.expressions.sprig.versions import VERSIONS

SPRIG = {**REFUSED, **TEXTS, **NUMBERS, **LISTS, **MAPS, **VALUES, **PATTERNS, **PATHS, **URLS, **DATES, **VERSIONS}

__all__ = ["SPRIG"]
