"""The neural networks of the local reader, each on one thread of this process.

The models come from the rapidocr wheel and are only ever read from there: nothing is downloaded, and a wheel without
them is an `EngineUnavailable`. OpenVINO runs them (in int8 where `quantise` has ranges for exactly this model, in
bf16 on processors that have it); where OpenVINO cannot load, ONNX Runtime does, in fp32.
"""

from __future__ import annotations

import hashlib
import importlib.util
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from docfleet.engines.local import quantise
from docfleet.engines.local.pixels import Floats, Pixels
from docfleet.errors import EngineUnavailable

DETECTOR = "PP-OCRv6_det_small.onnx"
RECOGNISER = "PP-OCRv6_rec_small.onnx"


class Precision(StrEnum):
    """What the arithmetic is done in."""

    AUTO = "auto"
    """bf16 where the processor has it, else int8 where it has AVX-512 VNNI or the like, else fp32."""
    INT8 = "int8"
    BF16 = "bf16"
    FP32 = "fp32"


class Network(Protocol):
    """Images in, arrays out."""

    def __call__(self, images: Pixels) -> list[Floats]:
        """`images` is (n, height, width, 3), one value for all outputs of the model, in its order.

        Raises whatever its runtime raises; `rapid` translates.
        """
        ...


def model_path(name: str) -> Path:
    """Where the rapidocr wheel keeps a model.

    Found without importing rapidocr, whose start-up code may reach for the network. Raises `EngineUnavailable`.
    """
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or spec.origin is None:
        raise EngineUnavailable("The rapidocr package, whose models the local reader uses, is not installed.")
    path = Path(spec.origin).parent / "models" / name
    if not path.is_file():
        raise EngineUnavailable(f"The installed rapidocr package lacks the model {name}.")
    return path


def model_digest(path: Path) -> str:
    """SHA-256 of the file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def vocabulary(path: Path) -> list[str]:
    """The recogniser's symbols by output index: "" for the CTC blank (index 0), and a space last.

    Reads the `character` entry of the ONNX metadata. Raises `EngineUnavailable`.
    """
    text = _metadata(path.read_bytes()).get("character", "")
    if not text:
        raise EngineUnavailable(f"The model {path.name} carries no vocabulary.")
    return ["", *text.split("\n"), " "]


def _metadata(model: bytes) -> dict[str, str]:
    """`metadata_props` (field 14 of ModelProto, entries of key = 1, value = 2) of a serialised ONNX model."""
    found: dict[str, str] = {}
    for number, value in _fields(memoryview(model)):
        if number == 14:
            entry = dict(_fields(value))
            found[bytes(entry.get(1, b"")).decode()] = bytes(entry.get(2, b"")).decode()
    return found


def _fields(data: memoryview) -> list[tuple[int, memoryview]]:
    """Length-delimited fields of a protobuf message, in order; other fields are passed over."""
    found = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 2:
            length, at = _varint(data, at)
            found.append((number, data[at : at + length]))
            at += length
        elif kind == 0:
            _, at = _varint(data, at)
        else:
            at += {1: 8, 5: 4}[kind]
    return found


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


class Runtime:
    """OpenVINO on one thread; compiles the models it is handed."""

    def __init__(self, precision: Precision = Precision.AUTO) -> None:
        import openvino

        self._openvino: Any = openvino
        self._core: Any = openvino.Core()
        can = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision is Precision.AUTO:
            precision = Precision.BF16 if "BF16" in can else Precision.INT8 if "INT8" in can else Precision.FP32
        self.precision = precision

    @property
    def name(self) -> str:
        return f"openvino-{self.precision}"

    def read(self, path: Path) -> Any:
        return self._core.read_model(path)

    def prepare(self, model: Any, ranges: quantise.Ranges | None) -> None:
        """Puts pixel normalisation into the model (in place), and int8 where it has ranges and that was asked for."""
        if ranges is not None and self.precision is Precision.INT8:
            quantise.insert_ranges(model, ranges)
        ov = self._openvino
        steps = ov.preprocess.PrePostProcessor(model)
        steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        steps.input().model().set_layout(ov.Layout("NCHW"))
        steps.input().preprocess().convert_element_type(ov.Type.f32).mean([127.5] * 3).scale([127.5] * 3)
        steps.build()

    def compile(self, model: Any) -> OpenVinoNetwork:
        hint = self._openvino.Type.bf16 if self.precision is Precision.BF16 else self._openvino.Type.f32
        config = {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            # several processes share the machine; the operating system places them better than a pin would
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": hint,
        }
        return OpenVinoNetwork(self._core.compile_model(model, "CPU", config))


class OpenVinoNetwork:
    def __init__(self, compiled: Any) -> None:
        self._request: Any = compiled.create_infer_request()
        self._outputs = len(compiled.outputs)

    def __call__(self, images: npt.NDArray[Any]) -> list[Floats]:
        self._request.infer([np.ascontiguousarray(images)], share_inputs=True)
        return [np.array(self._request.get_output_tensor(i).data) for i in range(self._outputs)]


class OnnxNetwork:
    """ONNX Runtime on one thread, fp32."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, images: Pixels) -> list[Floats]:
        batch = np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)
        batch *= 1 / 127.5
        batch -= 1.0
        return list(self._session.run(None, {self._input: batch}))
