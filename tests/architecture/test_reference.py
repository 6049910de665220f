"""Generated pages are what the code says."""

import pytest

from agents import reference
from tests.conftest import REPOSITORY


@pytest.mark.parametrize("path", reference.pages())
def test_the_page_is_fresh(path: str) -> None:
    assert (REPOSITORY / path).read_text() == reference.pages()[path], "run: python -m agents.reference"
