"""Annotations as TensorRT-LLM's reference files write them, as types. Pure functions: nothing that a text names is imported or run."""

from __future__ import annotations

import ast
import types
import typing
from functools import reduce
from operator import or_
from typing import Any

_PLAIN: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "dict": dict,
    "list": list,
    "Any": typing.Any,
    "Path": str,
    "NoneType": types.NoneType,
    "None": types.NoneType,
}
_MANY = frozenset({"List", "list", "Sequence"})
_MAPPINGS = frozenset({"Dict", "dict"})


def hint_of(text: str) -> Any:
    """The type of an annotation; a class that is not plain data stays the name of a class.

    Raises:
        ValueError: it is no annotation of a kind that the files have.
    """
    try:
        return _hint(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError as error:
        raise ValueError(f"no annotation: {text}") from error


def class_in(text: str) -> str | None:
    """The one class that an annotation names beside plain types, without its module; None where there is none, or several."""
    found = [node.attr for node in ast.walk(ast.parse(text.strip(), mode="eval")) if isinstance(node, ast.Attribute)]
    classes = [name for name in found if name[:1].isupper() and name not in _PLAIN]
    return classes[0] if len(classes) == 1 else None


def _hint(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=None):
            return types.NoneType
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _PLAIN.get(name, types.new_class(name))
        case ast.Subscript(value=ast.Name(id=outer) | ast.Attribute(attr=outer), slice=inner):
            inside = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return _generic(outer, inside)
    raise ValueError(f"no annotation: {ast.unparse(node)}")


def _generic(outer: str, inside: list[ast.expr]) -> Any:
    if outer == "Literal":
        return typing.Literal[tuple(ast.literal_eval(one) for one in inside)]
    hints = tuple(_hint(one) for one in inside)
    if outer == "Optional":
        return hints[0] | None
    if outer == "Union":
        return reduce(or_, hints)
    if outer in _MANY:
        return list[hints[0]]  # type: ignore[valid-type]
    if outer in _MAPPINGS:
        return dict[hints]  # type: ignore[misc, valid-type]
    raise ValueError(f"no annotation: {outer}[…]")
