"""`minilab doctor`: what this machine has, each thing really tried, with the fix for what is missing."""

from client.doctor.report import main
from client.doctor.rows import Level, Row, Subject

__all__ = ["Level", "Row", "Subject", "main"]
