"""What users bring: data contract, features, model, gates, load, question and answer."""
