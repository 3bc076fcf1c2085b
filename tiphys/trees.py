"""Boosted trees as a torch module, and as ONNX's own operator for them when they are exported. Needs torch, not LightGBM.

So trees are kept, loaded, proven and served as any other model: tensors in safetensors, no pickle, no further library. In torch a
row walks all trees at once, a level a step; in ONNX the walk is one ``TreeEnsembleRegressor`` (domain ``ai.onnx.ml``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_CHUNK = 256
"""Rows that walk at once: as many as keep a step of all trees within a processor's cache."""
_NAMES = ("feature", "threshold", "low", "missing_low", "value", "tree", "root", "depth")


class Trees(nn.Module):
    """A sum of regression trees; nodes of all trees are numbered through, the two below a node are neighbours."""

    feature: Tensor
    """int64 [nodes] column that a node looks at."""
    threshold: Tensor
    """float32 [nodes] a value up to it goes to ``low``, one above to the next number; infinite for a leaf."""
    low: Tensor
    """int64 [nodes]; a leaf's own number, so that it leads to itself."""
    missing_low: Tensor
    """int64 [nodes] 1 where a value that is missing (NaN) goes to ``low``."""
    value: Tensor
    """float32 [nodes] what a leaf adds; 0 elsewhere."""
    tree: Tensor
    """int64 [nodes] its tree, numbered from the deepest."""
    root: Tensor
    """int64 [trees]"""
    depth: Tensor
    """int64 [trees] steps from the root to the deepest leaf, descending."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        """Make them of arrays by the names above."""
        super().__init__()
        for name in _NAMES:
            self.register_buffer(name, torch.as_tensor(arrays[name]))

    def forward(self, columns: Tensor) -> Tensor:
        """Return float32 [rows] for float32 [rows, columns]."""
        if torch.onnx.is_in_onnx_export():
            answer: Tensor = _Operator.apply(columns, _Held(self))[:, 0]
            return answer
        return torch.cat([self._walk(each) for each in torch.split(columns, _CHUNK)])

    def _walk(self, columns: Tensor) -> Tensor:
        at = self.root.repeat(len(columns), 1)
        holes = bool(columns.isnan().any())
        for level in range(int(self.depth[0])):
            going = int((self.depth > level).sum())  # the deepest trees come first
            now = at[:, :going]
            asked = columns.gather(1, self.feature[now])
            high = asked > self.threshold[now]
            if holes:
                high |= asked.isnan() & (self.missing_low[now] == 0)
            at[:, :going] = self.low[now] + high
        return self.value[at].double().sum(1).float()


def of_lightgbm(booster: Any) -> Trees:
    """Take the trees out of a LightGBM booster for regression, without categories.

    Raises:
        ValueError: a node asks something else than whether a number is at most a threshold.
    """
    grown = sorted(
        (_grown(each["tree_structure"]) for each in booster.dump_model()["tree_info"]), key=lambda each: -each.depth
    )
    first = np.cumsum([0, *(len(each.nodes) for each in grown)])
    nodes = [node for each in grown for node in each.nodes]
    tree = np.repeat(np.arange(len(grown)), np.diff(first))
    return Trees(
        {
            "feature": np.array([each.feature for each in nodes], np.int64),
            "threshold": _not_above(np.array([each.threshold for each in nodes], np.float64)),
            "low": np.array([each.low for each in nodes], np.int64) + first[tree],
            "missing_low": np.array([each.missing_low for each in nodes], np.int64),
            "value": np.array([each.value for each in nodes], np.float32),
            "tree": tree.astype(np.int64),
            "root": first[:-1].astype(np.int64),
            "depth": np.array([each.depth for each in grown], np.int64),
        }
    )


def blank(shapes: Mapping[str, Sequence[int]]) -> Trees:
    """Make trees of those shapes, to be loaded into."""
    kinds = {"threshold": np.float32, "value": np.float32}
    return Trees({name: np.zeros(shape, kinds.get(name, np.int64)) for name, shape in shapes.items()})


@dataclass(frozen=True)
class _Node:
    """A node, numbered within its tree."""

    low: int
    feature: int = 0
    threshold: float = math.inf
    missing_low: bool = True
    value: float = 0.0


@dataclass(frozen=True)
class _Grown:
    """A tree; the two nodes below one are neighbours."""

    nodes: list[_Node]
    depth: int


def _grown(root: Mapping[str, Any]) -> _Grown:
    """Number the nodes of one of LightGBM's trees level by level."""
    nodes: list[_Node] = []
    waiting, depth, known = [root], -1, 1
    while waiting:
        below: list[Mapping[str, Any]] = []
        for each in waiting:
            if "leaf_value" in each:
                nodes.append(_Node(len(nodes), value=float(each["leaf_value"])))
            else:
                nodes.append(_asks(each, known + len(below)))
                below += [each["left_child"], each["right_child"]]
        depth, known, waiting = depth + 1, known + len(below), below
    return _Grown(nodes, depth)


def _asks(node: Mapping[str, Any], low: int) -> _Node:
    if node["decision_type"] != "<=" or node["missing_type"] == "Zero":
        message = f"a tree asks {node['decision_type']!r} with missing type {node['missing_type']}: only <= can be told"
        raise ValueError(message)
    # Where no value was missing in training LightGBM takes a missing one for 0.
    missing = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0
    return _Node(low, int(node["split_feature"]), float(node["threshold"]), bool(missing))


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
    low = np.where(leaf, 0, held["low"] - first)
    yield "n_targets_i", 1
    yield "nodes_treeids_i", tree.tolist()
    yield "nodes_nodeids_i", number.tolist()
    yield "nodes_featureids_i", held["feature"].tolist()
    yield "nodes_values_f", np.where(leaf, 0.0, held["threshold"]).tolist()
    yield "nodes_modes_s", ["LEAF" if each else "BRANCH_LEQ" for each in leaf]
    yield "nodes_truenodeids_i", low.tolist()
    yield "nodes_falsenodeids_i", np.where(leaf, 0, low + 1).tolist()
    yield "nodes_missing_value_tracks_true_i", held["missing_low"].tolist()
    yield "target_treeids_i", tree[leaf].tolist()
    yield "target_nodeids_i", number[leaf].tolist()
    yield "target_ids_i", [0] * int(leaf.sum())
    yield "target_weights_f", held["value"][leaf].tolist()
