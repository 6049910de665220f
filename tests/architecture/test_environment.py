"""Only `agents/settings.py` reads the environment; every setting is in the template."""

import ast
import re

from agents.settings import Settings
from tests.conftest import REPOSITORY

READERS = {"agents/settings.py"}


def test_nobody_else_reads_the_environment() -> None:
    readers = set()
    for package in ("agents", "client"):
        for path in (REPOSITORY / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"):
                    readers.add(str(path.relative_to(REPOSITORY)))
    allowed = {name for name in readers if name.startswith("client/")} | READERS
    assert readers <= allowed
    assert "agents/settings.py" in readers


def test_every_setting_is_explained_in_the_template() -> None:
    template = (REPOSITORY / ".env.template").read_text()
    for name, field in Settings.model_fields.items():
        assert re.search(rf"^#? ?{name.upper()}=", template, re.MULTILINE), name
        assert field.description, name
        assert field.description in template, name
