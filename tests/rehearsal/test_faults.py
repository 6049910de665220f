"""Faults as the command line writes them."""

import pytest

from rehearsal.faults import parse
from rehearsal.scenario import Fault, FaultKind


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("500", Fault(kind=FaultKind.SERVER_ERROR, times=1)),
        ("429:3:0.5", Fault(kind=FaultKind.RATE_LIMIT, times=3, retry_after=0.5)),
        ("truncated:always", Fault(kind=FaultKind.TRUNCATED, times=None)),
        ("hang:2", Fault(kind=FaultKind.HANG, times=2)),
    ],
)
def test_a_fault_is_read(text: str, fault: Fault) -> None:
    assert parse(text) == fault


@pytest.mark.parametrize("text", ["", "503", "500:x", "500:0", "429:1:soon", "429:1:-1"])
def test_what_is_no_fault_is_refused_naming_the_kinds(text: str) -> None:
    with pytest.raises(ValueError, match="KIND is one of 429, 500, 401, truncated, garbage, html, hang"):
        parse(text)
