"""Int8 for OpenVINO models: ranges of activations are measured once, then put into the graph as FakeQuantize nodes.

What is committed is a table of ranges (`ranges.json`, a few hundred numbers measured on lines and pages drawn by
`bench/ocr_ranges.py`), keyed by the digest of the model it was measured on. OpenVINO turns FakeQuantize nodes into
int8 arithmetic when it compiles the model. Scheme: activations per tensor, 256 levels, asymmetric; weights per output
channel, 255 levels, symmetric (Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference",
2018).
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

Ranges = dict[str, tuple[float, float]]
"""Name of an operation with constant weights -> lowest and highest value of its input."""

_WEIGHT_AXES = {
    # axes of the weights that one output channel spans, so that each channel gets a scale of its own
    "Convolution": (1, 2, 3),
    "GroupConvolution": (2, 3, 4),
    "ConvolutionBackpropData": (0, 2, 3),
    "MatMul": (0,),
}


def stored_ranges(digest: str) -> Ranges | None:
    """The committed ranges of the model with this SHA-256; None for a model they were not measured on."""
    table = resources.files(__package__).joinpath("ranges.json").read_bytes()
    return msgspec.json.decode(table, type=dict[str, Ranges]).get(digest)


def _weights(node: Any) -> npt.NDArray[np.float32] | None:
    source = node.input_value(1).get_node()
    while source.get_type_name() == "Identity":
        source = source.input_value(0).get_node()
    return source.data if source.get_type_name() == "Constant" else None


def _weighted(model: Any) -> list[Any]:
    """Operations worth doing in int8: those with constant weights over more than one position."""
    return [
        node
        for node in model.get_ordered_ops()
        if node.get_type_name() in _WEIGHT_AXES and _weights(node) is not None and not _is_gate(node)
    ]


def _is_gate(node: Any) -> bool:
    """True of convolutions over a pooled 1x1 map: they cost nothing, and their precision matters."""
    shape = node.output(0).get_partial_shape()
    if node.get_type_name() == "MatMul" or shape.rank.get_length() != 4:
        return False
    return all(shape[axis].is_static and shape[axis].get_length() == 1 for axis in (2, 3))


def measure_ranges(
    core: Any, model: Any, batches: Iterable[npt.NDArray[np.float32]], percentile: float = 0.01
) -> Ranges:
    """Ranges of the inputs of all weighted operations over normalised NCHW batches.

    Each batch gives its `percentile` and 100 - `percentile`; the widest over all batches count, so that one stray
    pixel does not cost everybody a bit of resolution.
    """
    import openvino

    nodes = _weighted(model)
    probe = openvino.Model([node.input_value(0) for node in nodes], model.get_parameters(), "probe")
    request = core.compile_model(probe, "CPU", {"INFERENCE_PRECISION_HINT": openvino.Type.f32}).create_infer_request()
    lows: dict[str, list[float]] = {node.get_friendly_name(): [] for node in nodes}
    highs: dict[str, list[float]] = {node.get_friendly_name(): [] for node in nodes}
    for batch in batches:
        request.infer([batch])
        for index, name in enumerate(lows):
            values = request.get_output_tensor(index).data.ravel()
            low, high = np.percentile(values[:: max(1, values.size // 200_000)], [percentile, 100 - percentile])
            lows[name].append(float(low))
            highs[name].append(float(high))
    return {name: (min(0.0, min(lows[name])), max(highs[name])) for name in lows}


def insert_ranges(model: Any, ranges: Ranges) -> None:
    """Puts FakeQuantize before the inputs and weights of every operation `ranges` names (in place)."""
    from openvino import opset13 as ops

    for node in _weighted(model):
        if node.get_friendly_name() not in ranges:
            continue
        low, high = ranges[node.get_friendly_name()]
        low, high = _aligned(low, high)
        bounds = [np.array(low, np.float32), np.array(high, np.float32)]
        node.input(0).replace_source_output(ops.fake_quantize(node.input_value(0), *bounds, *bounds, 256).output(0))
        weights = _weights(node)
        assert weights is not None
        axes = _WEIGHT_AXES[node.get_type_name()]
        if node.get_type_name() == "MatMul" and node.get_attributes().get("transpose_b"):
            axes = (1,)
        top = np.maximum(np.abs(weights).max(axis=axes, keepdims=True), 1e-8).astype(np.float32)
        limits = [-top, top]
        quantised = ops.fake_quantize(node.input_value(1), *limits, *limits, 255)
        node.input(1).replace_source_output(quantised.output(0))
    model.validate_nodes_and_infer_types()


def _aligned(low: float, high: float) -> tuple[float, float]:
    """The range moved so that zero falls on a level: padding is zero, and must stay exactly so."""
    if low >= 0:
        return 0.0, max(high, 1e-6)
    step = (high - low) / 255
    zero = round(-low / step)
    zero = min(max(zero, 1), 254)
    step = max(-low / zero, high / (255 - zero))
    return -zero * step, (255 - zero) * step
