"""Events: what comes from outside is kept, matched with WorkflowEventBindings, and starts each run once."""

from tiphys.engine.events.accept import accept, from_headers
from tiphys.engine.events.deliveries import Deliveries
from tiphys.engine.events.store import Event, history

__all__ = ["Deliveries", "Event", "accept", "from_headers", "history"]
