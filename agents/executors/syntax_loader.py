"""Reading YAML as Ansible and CloudFormation have it: with tags nobody declared, and merges that stay bounded."""

from typing import Any

import yaml

MAX_MERGED = 10_000


class BoundedLoader(yaml.SafeLoader):
    """Refuses merges of merges, which double a mapping at each level."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge `<<` keys. Raise where merges of merges grow without bound."""
        super().flatten_mapping(node)
        if len(node.value) > MAX_MERGED:
            raise yaml.constructor.ConstructorError(None, None, "merge keys that grow without bound", node.start_mark)


class TolerantLoader(BoundedLoader):
    """Reads tags nobody declared (`!vault`, `!Ref`) as what they are on."""


def _undeclared(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node)
    return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None


TolerantLoader.add_multi_constructor("!", _undeclared)


def documents(text: str) -> list[Any]:
    """The YAML documents in `text`. Raise yaml.YAMLError."""
    return list(yaml.load_all(text, Loader=TolerantLoader))
