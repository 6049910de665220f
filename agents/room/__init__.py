"""The room on Redis: the only package that speaks to it."""

from agents.room.opening import open_room
from agents.room.room import Retention

__all__ = ["Retention", "open_room"]
