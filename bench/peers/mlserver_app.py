"""MLServer: a custom runtime around ONNX Runtime, as its own documents show; its adaptive batching on."""

import os

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Eta(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"]
        )
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feed = {each.name: NumpyCodec.decode_input(each).astype(np.int64).reshape(-1, 1) for each in payload.inputs}
        (found,) = self._session.run(["duration_s"], feed)
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("duration_s", found)])
