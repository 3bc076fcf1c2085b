"""The governor: takes alerts and requests for trainings, and decides on record whether to train.

::

    alert ──▶ receive ─▶ [event, waiting] ─▶ 201        decide (pure) ─▶ [decision, training] ─▶ POST to Argo's event endpoint
                                  └────────────▶ desk ───────┘                     └─▶ [accepted] ─▶ looks for the run ─▶ [ended]

What stands in brackets is one write, in the database before the next begins. Killed between any two, the next governor goes on
from there: a decision stands once, and the name of the run that a yes starts is made of the event's id.

============== =================================================================
``receive``    is a webhook what it says it is: size, signature, time, form
``alertmanager`` the same for Alertmanager's messages
``senders``    whose secret, whose token, and how many they may send
``decide``     the decision: pure, ``now`` is an argument
``clock``      the time that durations are measured by
``tables``     the questions in SQL; ``store`` asks them
``argo``       Argo's API, or the engine's here: posts events, looks at runs
``desk``       brings state, policy and decision together, and posts
``service``    the routes
============== =================================================================
"""
