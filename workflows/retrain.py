"""What a yes of the governor starts: continuous training, on the raw files that the governor knows."""

from hera.workflows import models as m

from workflows.continuous_training import NAME as TRAINING

NAME = "retrain"
GIVEN = {"use-case": "payload.use_case", "source": "payload.source", "started-by": "payload.started_by"}
"""Parameters of the training, each with the expression that gives it; all others keep their defaults."""


def pipeline() -> m.WorkflowEventBinding:
    """Render the binding. The run's name is the event's, so that one that comes twice starts one run on Argo, too."""
    return m.WorkflowEventBinding(
        api_version="argoproj.io/v1alpha1",
        kind="WorkflowEventBinding",
        metadata=m.ObjectMeta(name=NAME, labels={"app.kubernetes.io/part-of": "tiphys"}),
        spec=m.WorkflowEventBindingSpec(
            event=m.Event(selector=f'discriminator == "{NAME}" && payload.type == "tiphys.retrain.v1"'),
            submit=m.Submit(
                workflow_template_ref=m.WorkflowTemplateRef(name=TRAINING),
                metadata=m.ObjectMeta(
                    name="payload.run", annotations={"tiphys/alert": "payload.event", "tiphys/reason": "payload.reason"}
                ),
                arguments=m.Arguments(
                    parameters=[
                        m.Parameter(name=name, value_from=m.ValueFrom(event=event)) for name, event in GIVEN.items()
                    ]
                ),
            ),
        ),
    )
