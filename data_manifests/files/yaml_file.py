"""Reading of YAML as plain values: texts, numbers, booleans, null, lists and mappings.

A date is read as its text. Refused, because no settings need them and small files can do much harm with them: aliases
that expand to many values ("billion laughs"), aliases that contain themselves, and tags of other types.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from data_manifests.errors import ConfigError, ToolkitError
from data_manifests.files.regular_file import in_one_line, read_regular_file, with_remedy

_MAX_BYTES = 1 << 20
_MAX_VALUES = 100_000  # after aliases are expanded


class _PlainLoader(yaml.SafeLoader):
    """The safe loader without dates, repeated keys and aliases that expand to too many values."""

    yaml_implicit_resolvers = {  # noqa: RUF012 -- PyYAML's own attribute
        first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def get_single_data(self) -> Any:
        node = self.get_single_node()
        if node is None:
            return None
        _count_values(node, {})
        return self.construct_document(node)


def _count_values(node: yaml.Node, counts: dict[int, int]) -> int:
    """Return the number of values that a node expands to. Raises YAMLError for what is refused."""
    known = counts.get(id(node))
    if known == 0:
        raise yaml.constructor.ConstructorError(None, None, "an alias contains itself", node.start_mark)
    if known is not None:
        return known
    counts[id(node)] = 0
    children: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        children = node.value
    elif isinstance(node, yaml.MappingNode):
        children = [child for pair in node.value for child in pair]
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<")
        for key, count in keys.most_common(1):
            if count > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} repeats", node.start_mark)
    total = 1 + sum(_count_values(child, counts) for child in children)
    if total > _MAX_VALUES:
        raise yaml.constructor.ConstructorError(
            None, None, f"it expands to more than {_MAX_VALUES:,} values", node.start_mark
        )
    counts[id(node)] = total
    return total


def read_yaml(path: Path, remedy: str = "", *, error: type[ToolkitError] = ConfigError) -> Any:
    """Return the content of a YAML file, None for an empty one. Raises `error` as `read_regular_file`, `parse_yaml`."""
    data = read_regular_file(path, remedy, error=error, max_bytes=_MAX_BYTES)
    return parse_yaml(data, repr(str(path)), remedy, error=error)


def parse_yaml(text: str | bytes, name: str, remedy: str = "", *, error: type[ToolkitError] = ConfigError) -> Any:
    """Return the value of a YAML text. Raises `error` with `name`, line and column of the fault, and `remedy`."""
    try:
        return yaml.load(text, _PlainLoader)
    except RecursionError:
        raise error(with_remedy(f"{name} is not usable YAML: it is nested too deeply.", remedy)) from None
    except (yaml.YAMLError, ValueError, OverflowError) as cause:  # ValueError: a number that Python cannot hold
        raise error(with_remedy(f"{name} is not YAML: {in_one_line(cause)}.", remedy)) from None
