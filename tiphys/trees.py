"""Boosted trees as a torch module, and as ONNX's own operator for them when they are exported. Needs torch, not LightGBM.

So trees are kept, loaded, proven and served as any other model: tensors in safetensors, no pickle, no further library. In torch a
row walks all trees at once, a level a step; in ONNX the walk is one ``TreeEnsembleRegressor`` (domain ``ai.onnx.ml``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_CHUNK = 4096
"""Rows that walk at once: memory is this times the number of trees."""
_NAMES = ("feature", "threshold", "low", "high", "missing_low", "value", "tree", "root")


class Trees(nn.Module):
    """A sum of regression trees; nodes of all trees are numbered through, a leaf leads to itself."""

    feature: Tensor
    """int64 [nodes] column that a node looks at."""
    threshold: Tensor
    """float32 [nodes] a value up to it goes to ``low``, one above to ``high``."""
    low: Tensor
    """int64 [nodes]"""
    high: Tensor
    missing_low: Tensor
    """int64 [nodes] 1 where a value that is missing (NaN) goes to ``low``."""
    value: Tensor
    """float32 [nodes] what a leaf adds; 0 elsewhere."""
    tree: Tensor
    """int64 [nodes] its tree."""
    root: Tensor
    """int64 [trees]"""
    levels: Tensor
    """int64 [1] steps from a root to the deepest leaf."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        """Make them of arrays by the names above."""
        super().__init__()
        for name in (*_NAMES, "levels"):
            self.register_buffer(name, torch.as_tensor(arrays[name]))

    def forward(self, columns: Tensor) -> Tensor:
        """Return float32 [rows] for float32 [rows, columns]."""
        if torch.onnx.is_in_onnx_export():
            answer: Tensor = _Operator.apply(columns, _Held(self))[:, 0]
            return answer
        return torch.cat([self._walk(each) for each in torch.split(columns, _CHUNK)])

    def _walk(self, columns: Tensor) -> Tensor:
        at = self.root.expand(len(columns), -1)
        for _ in range(int(self.levels)):
            asked = columns.gather(1, self.feature[at])
            low = torch.where(asked.isnan(), self.missing_low[at] == 1, asked <= self.threshold[at])
            at = torch.where(low, self.low[at], self.high[at])
        return self.value[at].double().sum(1).float()


def of_lightgbm(booster: Any) -> Trees:
    """Take the trees out of a LightGBM booster for regression, without categories.

    Raises:
        ValueError: a node asks something else than whether a number is at most a threshold.
    """
    nodes: list[tuple[int, float, int, int, int, float, int]] = []
    roots, levels = [], 0
    for number, each in enumerate(booster.dump_model()["tree_info"]):
        roots.append(len(nodes))
        levels = max(levels, _add(nodes, each["tree_structure"], number))
    feature, threshold, low, high, missing, value, tree = zip(*nodes, strict=True)
    return Trees(
        {
            "feature": np.array(feature, np.int64),
            "threshold": _not_above(np.array(threshold, np.float64)),
            "low": np.array(low, np.int64),
            "high": np.array(high, np.int64),
            "missing_low": np.array(missing, np.int64),
            "value": np.array(value, np.float32),
            "tree": np.array(tree, np.int64),
            "root": np.array(roots, np.int64),
            "levels": np.array([levels], np.int64),
        }
    )


def blank(shapes: Mapping[str, Sequence[int]]) -> Trees:
    """Make trees of those shapes, to be loaded into."""
    kinds = {"threshold": np.float32, "value": np.float32}
    return Trees({name: np.zeros(shape, kinds.get(name, np.int64)) for name, shape in shapes.items()})


def _add(nodes: list[tuple[int, float, int, int, int, float, int]], node: Mapping[str, Any], tree: int) -> int:
    """Number a node and all below it; answers with the steps to the deepest leaf."""
    own = len(nodes)
    if "leaf_value" in node:
        nodes.append((0, 0.0, own, own, 0, float(node["leaf_value"]), tree))
        return 0
    if node["decision_type"] != "<=" or node["missing_type"] == "Zero":
        message = f"a tree asks {node['decision_type']!r} with missing type {node['missing_type']}: only <= can be told"
        raise ValueError(message)
    nodes.append((0, 0.0, 0, 0, 0, 0.0, tree))
    deep = _add(nodes, node["left_child"], tree)
    second = len(nodes)
    deep = 1 + max(deep, _add(nodes, node["right_child"], tree))
    # Where no value was missing in training LightGBM takes a missing one for 0.
    missing = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0
    nodes[own] = (node["split_feature"], float(node["threshold"]), own + 1, second, int(missing), 0.0, tree)
    return deep


def _not_above(values: Any) -> Any:
    """The largest float32 not above each float64: for a float32 x, x <= both says the same."""
    rounded = values.astype(np.float32)
    return np.where(rounded > values, np.nextafter(rounded, np.float32(-np.inf)), rounded)


@dataclass(frozen=True)
class _Held:
    """Trees as an argument that tracing takes for no module."""

    trees: Trees


class _Operator(torch.autograd.Function):
    """The walk as one operator of ONNX."""

    @staticmethod
    def forward(_: Any, columns: Tensor, held: _Held) -> Tensor:
        """Give something of the answer's shape, [rows, 1]: while a module is exported nobody looks at its answers."""
        del held
        return columns[:, :1].clone()

    @staticmethod
    def symbolic(graph: Any, columns: Any, held: _Held) -> Any:
        """Write the operator."""
        made = graph.op("ai.onnx.ml::TreeEnsembleRegressor", columns, **dict(_attributes(held.trees)))
        made.setType(columns.type().with_sizes([None, 1]))
        return made


def _attributes(trees: Trees) -> Iterator[tuple[str, Any]]:
    """Attributes of the operator; nodes are numbered within their tree."""
    held = {name: getattr(trees, name).numpy() for name in _NAMES}
    tree = held["tree"]
    first = held["root"][tree]
    number = np.arange(len(tree)) - first
    leaf = held["low"] == np.arange(len(tree))
    yield "n_targets_i", 1
    yield "nodes_treeids_i", tree.tolist()
    yield "nodes_nodeids_i", number.tolist()
    yield "nodes_featureids_i", held["feature"].tolist()
    yield "nodes_values_f", held["threshold"].tolist()
    yield "nodes_modes_s", ["LEAF" if each else "BRANCH_LEQ" for each in leaf]
    yield "nodes_truenodeids_i", np.where(leaf, 0, held["low"] - first).tolist()
    yield "nodes_falsenodeids_i", np.where(leaf, 0, held["high"] - first).tolist()
    yield "nodes_missing_value_tracks_true_i", held["missing_low"].tolist()
    yield "target_treeids_i", tree[leaf].tolist()
    yield "target_nodeids_i", number[leaf].tolist()
    yield "target_ids_i", [0] * int(leaf.sum())
    yield "target_weights_f", held["value"][leaf].tolist()
