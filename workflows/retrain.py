"""What a yes of the governor starts: continuous training, on the raw files that the governor knows."""

from hera.workflows import models as m

from workflows.continuous_training import NAME as TRAINING

NAME = "retrain"
GIVEN = {
    name: f"payload.{name.replace('-', '_')}"
    for name in ("use-case", "source", "recent-from", "champion", "started-by")
}
"""Parameters of the training that the governor gives, each with its expression; all others but ``live`` and ``governed`` keep their
defaults, so that bad data still stops it."""


def pipeline() -> m.WorkflowEventBinding:
    """Render the binding. The run's name is the event's, so that one that comes twice starts one run on Argo, too."""
    return m.WorkflowEventBinding(
        api_version="argoproj.io/v1alpha1",
        kind="WorkflowEventBinding",
        metadata=m.ObjectMeta(
            name=NAME,
            labels={"app.kubernetes.io/part-of": "tiphys"},
            annotations={
                "workflows.argoproj.io/title": "What a yes of the governor starts",
                "workflows.argoproj.io/description": "Starts `continuous-training` for an event that the governor posts.",
            },
        ),
        spec=m.WorkflowEventBindingSpec(
            event=m.Event(selector=f'discriminator == "{NAME}" && payload.type == "tiphys.retrain.v1"'),
            submit=m.Submit(
                workflow_template_ref=m.WorkflowTemplateRef(name=TRAINING),
                metadata=m.ObjectMeta(
                    name="payload.run", annotations={"tiphys/alert": "payload.event", "tiphys/reason": "payload.reason"}
                ),
                arguments=m.Arguments(
                    parameters=[
                        m.Parameter(name=name, value_from=m.ValueFrom(event=event))
                        for name, event in {**GIVEN, "live": '"true"', "governed": '"true"'}.items()
                    ]
                ),
            ),
        ),
    )
