"""The program's own log: logfmt lines on stderr, secrets masked."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from agents.domain.ports import Redactor


def configure(level: str, redactor: Redactor) -> None:
    """Send structlog and the libraries' warnings to stderr."""

    def mask(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {name: redactor.text(value) if isinstance(value, str) else value for name, value in event.items()}

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="level=%(levelname)s event=%(message)r")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            mask,
            structlog.processors.LogfmtRenderer(key_order=("timestamp", "level", "event"), bool_as_flag=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
