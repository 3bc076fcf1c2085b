"""Step ``export``: turn a registered model into ONNX, prove that it answers alike, and lay out its Triton repository."""
