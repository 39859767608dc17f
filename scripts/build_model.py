#!/usr/bin/env python3
"""Write the embedding model, all-MiniLM-L6-v2, as ONNX.

    build_model.py SOURCE DESTINATION

SOURCE is the folder that sentence-transformers publishes (config.json, model.safetensors,
tokenizer files). DESTINATION gets what fastembed asks for: model.onnx and the tokenizer files,
with the model's licence (Apache-2.0) and notice beside them.

The weights are published as safetensors only in the places that a package registry reaches, and
ONNX Runtime reads ONNX only, hence this recipe. It needs the standard library alone: safetensors
is a JSON header followed by the numbers, and of ONNX (a protobuf schema) a BERT encoder uses six
messages, written below. So the same input gives the same bytes, and both digests are pinned.

The graph ends at `last_hidden_state`; mean pooling and normalisation are the caller's (fastembed
does both). The pinned output gave these cosines, which are the model card's:
"That is a happy person" with "That is a very happy person" 0.943, with "That is a happy dog"
0.695, with "Today is a sunny day" 0.257.
"""

import hashlib
import json
import math
import os
import shutil
import struct
import sys
from array import array
from pathlib import Path

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
ONNX_SHA256 = "298690fcf4cce94bd7a6a2196a9d76b69ad47098666914cea473415e5027ff57"

BESIDE = (
    "config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "LICENSE",
    "NOTICE",
)

# --- protobuf: a message is its fields one after another, each a tag and a value -----------------


def varint(number):
    number &= 0xFFFF_FFFF_FFFF_FFFF  # negative numbers are sent as their two's complement
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    """One field; the wire type follows from the Python type."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(number, values):
    return b"".join(field(number, value) for value in values)


# --- ONNX: the six messages, with the field numbers of onnx.proto3 -------------------------------

FLOAT, INT64 = 1, 7  # TensorProto.DataType


def tensor(name, kind, shape, data):
    return fields(1, shape) + field(2, kind) + field(8, name) + field(9, data)


def attribute(name, value):
    if isinstance(value, list):
        return field(1, name) + fields(8, value) + field(20, 7)  # INTS
    if isinstance(value, float):
        return field(1, name) + field(2, value) + field(20, 1)  # FLOAT
    return field(1, name) + field(3, value) + field(20, 2)  # INT


def node(operator, inputs, output, attributes):
    encoded = [attribute(name, value) for name, value in attributes.items()]
    return fields(1, inputs) + field(2, output) + field(3, output) + field(4, operator) + fields(5, encoded)


def value_info(name, kind, shape):
    dimensions = [field(1, size) if isinstance(size, int) else field(2, size) for size in shape]
    tensor_type = field(1, kind) + field(2, fields(1, dimensions))
    return field(1, name) + field(2, field(1, tensor_type))


def model(graph):
    operator_set = field(1, "") + field(2, 17)  # 17 is the first with LayerNormalization
    return field(1, 8) + field(2, "repertoire") + field(7, graph) + field(8, operator_set)


class Graph:
    """Nodes and constants in the order in which they are made, named after their purpose."""

    def __init__(self):
        self.nodes = []
        self.constants = {}

    def constant(self, name, kind, shape, data):
        self.constants.setdefault(name, tensor(name, kind, shape, data))
        return name

    def floats(self, name, value):
        return self.constant(name, FLOAT, [], struct.pack("<f", value))

    def ints(self, name, values):
        return self.constant(name, INT64, [len(values)], struct.pack(f"<{len(values)}q", *values))

    def int(self, name, value):
        return self.constant(name, INT64, [], struct.pack("<q", value))

    def op(self, operator, *inputs, output=None, **attributes):
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(node(operator, inputs, output, attributes))
        return output

    def encode(self, name, inputs, outputs):
        return (
            fields(1, self.nodes)
            + field(2, name)
            + fields(5, self.constants.values())
            + fields(11, inputs)
            + fields(12, outputs)
        )


# --- BERT ----------------------------------------------------------------------------------------


class Weights:
    """The numbers of a safetensors file, by name."""

    def __init__(self, content):
        (header_size,) = struct.unpack_from("<Q", content)
        self.header = json.loads(content[8 : 8 + header_size])
        self.data = memoryview(content)[8 + header_size :]

    def read(self, name):
        entry = self.header[name]
        if entry["dtype"] != "F32":
            sys.exit(f"error: {name} is {entry['dtype']}, expected F32")
        start, end = entry["data_offsets"]
        return entry["shape"], self.data[start:end]

    def read_transposed(self, name):
        (rows, columns), data = self.read(name)
        values, out = array("f", bytes(data)), array("f")
        for column in range(columns):
            out.extend(values[column::columns])
        return [columns, rows], out.tobytes()


def bert(weights, config):
    """The encoder of a BERT as an ONNX graph, from token ids to `last_hidden_state`."""
    width, heads = config["hidden_size"], config["num_attention_heads"]
    epsilon, graph = config["layer_norm_eps"], Graph()
    op = graph.op

    def weight(name):
        return graph.constant(name, FLOAT, *weights.read(name))

    def linear(x, name):
        matrix = graph.constant(f"{name}.weight", FLOAT, *weights.read_transposed(f"{name}.weight"))
        return op("Add", op("MatMul", x, matrix), weight(f"{name}.bias"))

    def layer_norm(x, name):
        return op("LayerNormalization", x, weight(f"{name}.weight"), weight(f"{name}.bias"), axis=-1, epsilon=epsilon)

    def embeddings():
        length = op("Slice", op("Shape", "input_ids"), graph.ints("one", [1]), graph.ints("two", [2]))
        positions = op("Range", graph.int("first", 0), op("Squeeze", length), graph.int("step", 1))
        words = op("Gather", weight("embeddings.word_embeddings.weight"), "input_ids")
        types = op("Gather", weight("embeddings.token_type_embeddings.weight"), "token_type_ids")
        places = op("Gather", weight("embeddings.position_embeddings.weight"), positions)
        return layer_norm(op("Add", op("Add", words, types), places), "embeddings.LayerNorm")

    def padding_bias():
        # 0 where there is a token, a large negative number where there is padding.
        mask = op("Cast", "attention_mask", to=FLOAT)
        bias = op("Mul", op("Sub", graph.floats("kept", 1.0), mask), graph.floats("masked", -1e9))
        return op("Unsqueeze", bias, graph.ints("heads_and_queries", [1, 2]))

    def attention(x, bias, name):
        def split(projection, order):
            shape = graph.ints("split_heads", [0, 0, heads, width // heads])
            return op("Transpose", op("Reshape", linear(x, f"{name}.self.{projection}"), shape), perm=order)

        query, key = split("query", [0, 2, 1, 3]), split("key", [0, 2, 3, 1])
        scale = graph.floats("attention_scale", math.sqrt(width // heads))
        scores = op("Softmax", op("Add", op("Div", op("MatMul", query, key), scale), bias), axis=-1)
        mixed = op("Transpose", op("MatMul", scores, split("value", [0, 2, 1, 3])), perm=[0, 2, 1, 3])
        joined = op("Reshape", mixed, graph.ints("join_heads", [0, 0, width]))
        return layer_norm(op("Add", linear(joined, f"{name}.output.dense"), x), f"{name}.output.LayerNorm")

    def gelu(x):
        erf = op("Erf", op("Div", x, graph.floats("sqrt_two", math.sqrt(2))))
        return op("Mul", op("Mul", x, graph.floats("half", 0.5)), op("Add", erf, graph.floats("kept", 1.0)))

    x, bias = embeddings(), padding_bias()
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        x = attention(x, bias, f"{name}.attention")
        inner = gelu(linear(x, f"{name}.intermediate.dense"))
        x = layer_norm(op("Add", linear(inner, f"{name}.output.dense"), x), f"{name}.output.LayerNorm")
    op("Identity", x, output="last_hidden_state")

    tokens = ["batch", "sequence"]
    inputs = [value_info(name, INT64, tokens) for name in ("input_ids", "attention_mask", "token_type_ids")]
    return graph.encode("bert", inputs, [value_info("last_hidden_state", FLOAT, [*tokens, width])])


# --- files ---------------------------------------------------------------------------------------


def check_digest(what, content, expected):
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        sys.exit(f"error: {what} has sha256 {found}, expected {expected}")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: build_model.py SOURCE DESTINATION")
    if sys.byteorder != "little":
        sys.exit("error: this recipe writes numbers as they lie in memory and needs a little-endian machine")
    source, destination = Path(sys.argv[1]), Path(sys.argv[2])

    content = (source / "model.safetensors").read_bytes()
    check_digest("model.safetensors", content, WEIGHTS_SHA256)
    encoded = model(bert(Weights(content), json.loads((source / "config.json").read_text())))
    check_digest("the ONNX file that was written from it", encoded, ONNX_SHA256)

    # The model comes last and by a rename: where it is, the rest is.
    destination.mkdir(parents=True, exist_ok=True)
    for name in BESIDE:
        shutil.copyfile(source / name, destination / name)
    unfinished = destination / f".model.onnx.{os.getpid()}"
    unfinished.write_bytes(encoded)
    unfinished.replace(destination / "model.onnx")


if __name__ == "__main__":
    main()
