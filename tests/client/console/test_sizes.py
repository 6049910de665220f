"""An attach told from a resize."""

import pytest

from client.console.sizes import Redraws, Size

BEFORE = (100, 30)


@pytest.mark.parametrize(
    ("seen", "attached"),
    [
        ([(0.0, (81, 25)), (0.01, (80, 24))], True),
        ([(0.0, (81, 25)), (0.4, (80, 24))], True),
        ([(0.0, (101, 31)), (0.01, BEFORE)], True),
        ([(0.0, BEFORE)], True),  # it had gone back before it was looked at
        ([(0.0, BEFORE), (0.001, BEFORE)], True),
        ([(0.0, (80, 24)), (1.0, (80, 24))], True),
        ([(0.0, (90, 20)), (5.0, (81, 25)), (5.01, (80, 24))], True),
        ([(0.0, (90, 20)), (0.5, (81, 25)), (0.51, (80, 24))], True),
        ([], False),
        ([(0.0, (80, 24))], False),
        ([(0.0, (80, 24)), (0.001, (80, 24))], False),  # two signs of a drag, seen as one change
        ([(0.0, (81, 24)), (0.01, (80, 24))], False),
        ([(0.0, (81, 25)), (1.0, (80, 24))], False),
        ([(0.0, (80, 24)), (0.01, (81, 25))], False),
        ([(0.0, (82, 26)), (0.1, (81, 25)), (0.2, (80, 24))], False),  # a drag
        ([(0.0, (81, 25)), (0.01, (80, 24)), (0.2, (79, 23))], False),
    ],
)
def test_only_two_changes_from_one_more_each_way_are_an_attach(
    seen: list[tuple[float, Size]], attached: bool
) -> None:
    redraws = Redraws(BEFORE)
    for at, size in seen:
        redraws.saw(size, at)
    assert redraws.attached(100.0) is attached
    assert not redraws.attached(101.0), "once"


def test_it_is_waited_for_whether_another_change_follows() -> None:
    redraws = Redraws(BEFORE)
    redraws.saw((81, 25), 10.0)
    redraws.saw((80, 24), 10.01)
    assert not redraws.attached(10.1)
    assert redraws.attached(10.5)
