"""The two networks the reader needs, loaded and ready."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from docfleet.engines.local import quantise, vocabulary
from docfleet.engines.local.inference import (
    DETECTOR,
    RECOGNISER,
    Network,
    OnnxNetwork,
    OpenVinoNetwork,
    Precision,
    Runtime,
    model_digest,
    model_path,
)
from docfleet.engines.local.inference import vocabulary as symbols_of
from docfleet.engines.local.pixels import Floats, Pixels

_UNSURE = 0.85
"""Lines whose characters are surer than this on average are not tried against the full vocabulary."""
_PROBES = 8
"""Time steps of a line tried against the full vocabulary."""

Steps = tuple[npt.NDArray[np.intp], Floats]
"""Best symbol and its probability at each time step of one line."""


class Recogniser(Protocol):
    """Images of lines in, the best symbol at each time step out."""

    symbols: list[str]

    def best_symbols(self, lines: Pixels, latin_only: bool = False) -> list[Steps]:
        """`lines` is (n, 48, width, 3); one answer a line. Indices are into `symbols`, 0 is the CTC blank."""
        ...


class SplitRecogniser(Recogniser):
    """The recogniser cut before its last layer, which is then applied for Latin symbols or for all."""

    def __init__(self, runtime: Runtime) -> None:
        path = model_path(RECOGNISER)
        self.symbols = symbols_of(path)
        model = runtime.read(path)
        self._latin = vocabulary.latin_indices(self.symbols)
        weights, bias, body = _split(model)
        if weights.shape[1] != len(self.symbols):
            raise ValueError("the recogniser's last layer and its vocabulary differ in size")
        runtime.prepare(body, quantise.stored_ranges(model_digest(path)))
        self._body = runtime.compile(body)
        self._all = _head(runtime, weights, bias)
        self._some = _head(runtime, weights[:, self._latin], bias[self._latin])

    def best_symbols(self, lines: Pixels, latin_only: bool = False) -> list[Steps]:
        features = self._body(lines)[0]
        scores = self._some(features)[0]
        best = scores.argmax(axis=2)
        sure = np.take_along_axis(scores, best[..., np.newaxis], axis=2)[..., 0]
        answers: list[Steps] = []
        for row in range(len(lines)):
            if not latin_only and self._foreign(features[row], scores[row], best[row], sure[row]):
                whole = self._all(features[row : row + 1])[0][0]
                answers.append((whole.argmax(axis=1), whole.max(axis=1)))
            else:
                answers.append((self._latin[best[row]], sure[row]))
        return answers

    def _foreign(self, features: Floats, scores: Floats, best: npt.NDArray[np.intp], sure: Floats) -> bool:
        """Whether symbols outside the Latin ones win at the time steps that look least like blanks."""
        spoken = best != 0
        if spoken.any() and float(sure[spoken].mean()) > _UNSURE:
            return False
        steps = np.argsort(scores[:, 0])[:_PROBES]
        whole = self._all(features[np.newaxis, steps])[0][0].argmax(axis=1)
        whole = whole[whole != 0]
        foreign = ~np.isin(whole, self._latin)
        return bool(foreign.sum() >= 2 and foreign.mean() >= 0.4)


class WholeRecogniser(Recogniser):
    """The recogniser as it comes, for ONNX Runtime."""

    def __init__(self) -> None:
        path = model_path(RECOGNISER)
        self.symbols = symbols_of(path)
        self._latin = vocabulary.latin_indices(self.symbols)
        self._network = OnnxNetwork(path)

    def best_symbols(self, lines: Pixels, latin_only: bool = False) -> list[Steps]:
        scores = self._network(lines)[0]
        if latin_only:
            some = scores[:, :, self._latin]
            return [(self._latin[row.argmax(axis=1)], row.max(axis=1)) for row in some]
        return [(row.argmax(axis=1), row.max(axis=1)) for row in scores]


def _split(model: Any) -> tuple[Floats, Floats, Any]:
    """The last layer's weights (features, symbols) and bias, and the model without that layer."""
    import openvino

    softmax = model.get_results()[0].input_value(0).get_node()
    while softmax.get_type_name() == "Identity":
        softmax = softmax.input_value(0).get_node()
    add = _above(softmax, 0)
    if softmax.get_type_name() != "Softmax" or add.get_type_name() != "Add":
        raise ValueError("the recogniser does not end as expected")
    sides = [_above(add, 0), _above(add, 1)]
    matmul = next(side for side in sides if side.get_type_name() == "MatMul")
    bias = next(side for side in sides if side.get_type_name() == "Constant")
    weights = _above(matmul, 1)
    body = openvino.Model([matmul.input_value(0)], model.get_parameters(), "recogniser")
    return np.array(weights.data, np.float32), np.array(bias.data, np.float32).ravel(), body


def _above(node: Any, port: int) -> Any:
    source = node.input_value(port).get_node()
    while source.get_type_name() == "Identity":
        source = source.input_value(0).get_node()
    return source


def _head(runtime: Runtime, weights: Floats, bias: Floats) -> OpenVinoNetwork:
    import openvino
    from openvino import opset13 as ops

    features = ops.parameter([-1, -1, weights.shape[0]], openvino.Type.f32)
    logits = ops.add(ops.matmul(features, ops.constant(weights), False, False), ops.constant(bias))
    return runtime.compile(openvino.Model([ops.softmax(logits, 2)], [features], "head"))


def load_detector(runtime: Runtime | None) -> Network:
    """The detector on OpenVINO, or (None) on ONNX Runtime."""
    path = model_path(DETECTOR)
    if runtime is None:
        return OnnxNetwork(path)
    model = runtime.read(path)
    runtime.prepare(model, quantise.stored_ranges(model_digest(path)))
    return runtime.compile(model)


def load_runtime(precision: Precision) -> Runtime | None:
    """OpenVINO, or None where it cannot load."""
    try:
        return Runtime(precision)
    except (ImportError, OSError, RuntimeError):
        return None
