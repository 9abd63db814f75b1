"""YAML text to a tree of values with positions, within limits.

Built on libyaml's events instead of PyYAML's constructors: positions are kept, anchors are counted before they are
expanded, no tag can make an object, and a hostile text is refused after a bounded amount of work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import yaml
from yaml import events

from llem.config.scalars import Scalar, ScalarError, is_yes_or_no, plain_value
from llem.errors import ConfigError

MAX_SCALAR = 64 * 2**10
MAX_NODES = 250_000
MAX_DEPTH = 50

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
Entry = tuple[int, int, "Node"]
_Start = events.MappingStartEvent | events.SequenceStartEvent


@dataclass(slots=True)
class Node:
    """A value and where it stands. `value` is a scalar, a list of nodes, or a mapping of key to (line, column, node)."""

    value: Scalar | list[Node] | dict[str, Entry]
    line: int
    column: int
    size: int = 1
    depth: int = 1


def _place(event: events.Event) -> tuple[int, int]:
    mark = event.start_mark
    assert mark is not None  # every event of a parsed text has its place
    return mark.line + 1, mark.column + 1


class YamlComposer:
    """Builds nodes from events, without recursion, and refuses as soon as a limit is passed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.total = 0
        self.anchors: dict[str, Node] = {}
        self.open: list[tuple[Node, str | None]] = []
        self.keys: list[tuple[str, int, int] | None] = []
        self.merges: list[list[dict[str, Entry]]] = []
        self.root: Node | None = None

    def fail(self, event: events.Event, what: str, remedy: str | None = None) -> NoReturn:
        line, column = _place(event)
        raise ConfigError(what, where=f"{self.name}:{line}:{column}", remedy=remedy)

    def run(self, text: str) -> Node | None:
        documents = 0
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, events.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, events.AliasEvent):
                self._alias(event)
            elif isinstance(event, (events.MappingStartEvent, events.SequenceStartEvent)):
                self._start(event)
            elif isinstance(event, (events.MappingEndEvent, events.SequenceEndEvent)):
                self._end(event)
            elif isinstance(event, events.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.fail(
                        event, "a second document starts here.", "A study is one document: remove the line `---`."
                    )
        return self.root

    def _count(self, event: events.Event, nodes: int) -> None:
        self.total += nodes
        if self.total > MAX_NODES:
            self.fail(
                event,
                f"holds more than {MAX_NODES:,} values once its anchors are expanded.",
                "Use `sweep` for many combinations; its points need not be written out.",
            )

    def _scalar(self, event: events.ScalarEvent) -> None:
        if len(event.value) > MAX_SCALAR:
            self.fail(
                event,
                f"a single value of {len(event.value):,} characters; at most {MAX_SCALAR:,} are taken.",
                "Long text belongs in a file of its own, such as a dataset's (`dataset.path`).",
            )
        self._count(event, 1)
        line, column = _place(event)
        if self._key_is_next():
            key = self._key(event)
            if event.anchor:
                self.anchors[event.anchor] = Node(key, line, column)
            self.keys[-1] = (key, line, column)
            return
        node = Node(self._value(event), line, column)
        if event.anchor:
            self.anchors[event.anchor] = node
        self._attach(event, node)

    def _key_is_next(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1][0].value, dict) and self.keys[-1] is None

    def _value(self, event: events.ScalarEvent) -> Scalar:
        text: str = event.value
        tag: str | None = event.tag
        if tag is None or tag == "!":
            is_text = tag == "!" or not event.implicit[0]
        elif tag in {_TAG + kind for kind in ("str", "int", "float", "bool", "null")}:
            is_text = tag == _TAG + "str"
        else:
            self._refuse_tag(event)
        if is_text:
            return text
        try:
            return plain_value(text)
        except ScalarError as error:
            self.fail(event, str(error))

    def _refuse_tag(self, event: events.ScalarEvent | _Start) -> NoReturn:
        self.fail(
            event, f"the tag `{event.tag}` is not allowed.", "Write plain values: text, numbers, lists, mappings."
        )

    def _key(self, event: events.ScalarEvent) -> str:
        if is_yes_or_no(event.value):
            return str(event.value)
        try:
            key = self._value(event) if event.tag is not None or not event.implicit[0] else plain_value(event.value)
        except ScalarError:
            key = None
        if not isinstance(key, str) and len(event.value) == 3 and event.value.isdigit():
            what = f"the key `{event.value}` is not text."
            self.fail(event, what, "If a number is meant, write it without separators: 1000, not 1,000.")
        if not isinstance(key, str):
            self.fail(event, f"the key `{event.value}` is not text.", "Put quotes around it if it is meant as a name.")
        return key

    def _alias(self, event: events.AliasEvent) -> None:
        name = event.anchor
        if any(name == anchor for _, anchor in self.open):
            self.fail(event, f"the anchor `{name}` contains itself.", "Write the value out.")
        if name not in self.anchors:
            self.fail(event, f"the alias `*{name}` has no anchor `&{name}` before it.")
        node = self.anchors[name]
        self._count(event, node.size)
        if self._key_is_next():
            if not isinstance(node.value, str):
                self.fail(event, f"the alias `*{name}` is a key, but not text.")
            self.keys[-1] = (node.value, *_place(event))
            return
        self._attach(event, node)

    def _start(self, event: _Start) -> None:
        is_map = isinstance(event, events.MappingStartEvent)
        if event.tag not in {None, "!", _TAG + ("map" if is_map else "seq")}:
            self._refuse_tag(event)
        if self._key_is_next():
            self.fail(
                event, "a key is itself a list or a mapping.", "Keys are plain names; `{{…}}` templates are not known."
            )
        if len(self.open) >= MAX_DEPTH:
            self.fail(event, f"is nested more than {MAX_DEPTH} levels deep.")
        self._count(event, 1)
        node = Node({} if is_map else [], *_place(event))
        self.open.append((node, event.anchor))
        self.keys.append(None)
        self.merges.append([])

    def _end(self, event: events.Event) -> None:
        node, anchor = self.open.pop()
        self.keys.pop()
        for merged in self.merges.pop():
            assert isinstance(node.value, dict)  # `<<` stands in mappings only
            for key, entry in merged.items():
                if key not in node.value:
                    node.value[key] = entry
                    self._grow(event, node, entry[2])
        if anchor:
            self.anchors[anchor] = node
        self._attach(event, node)

    def _grow(self, event: events.Event, node: Node, child: Node) -> None:
        node.size += child.size
        node.depth = max(node.depth, child.depth + 1)
        if node.depth > MAX_DEPTH:
            self.fail(event, f"is nested more than {MAX_DEPTH} levels deep once its anchors are expanded.")

    def _attach(self, event: events.Event, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        parent = self.open[-1][0]
        if isinstance(parent.value, list):
            parent.value.append(node)
            self._grow(event, parent, node)
            return
        pending = self.keys[-1]
        assert isinstance(parent.value, dict)
        assert pending is not None  # a value in a mapping follows its key
        key, line, column = pending
        self.keys[-1] = None
        if key == "<<":
            self._merge(event, node)
            return
        if key in parent.value:
            first, column_of_first, _ = parent.value[key]
            raise ConfigError(
                f"the key `{key}` stands twice in one mapping, first at line {first}, column {column_of_first}.",
                where=f"{self.name}:{line}:{column}",
                remedy="Keep one of them.",
            )
        parent.value[key] = (line, column, node)
        self._grow(event, parent, node)

    def _merge(self, event: events.Event, node: Node) -> None:
        sources = node.value if isinstance(node.value, list) else [node]
        mappings = [source.value for source in sources if isinstance(source.value, dict)]
        if self.merges[-1] or not sources or len(mappings) < len(sources):
            self.fail(
                event, "`<<` takes one mapping or a list of mappings, once.", "Write `<<: *name` or `<<: [*a, *b]`."
            )
        self.merges[-1] = mappings
