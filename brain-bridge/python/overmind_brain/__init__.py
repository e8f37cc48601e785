"""Sends authenticated, expiring signals to an OVERMIND executor."""

from .bridge import (
    Ack,
    Bridge,
    BridgeError,
    HelloRefused,
    Nack,
    NoAnswer,
    NotTheExecutor,
    Pong,
    load_key,
)
from .wire import FAMILIES, NEXT_LAUNCH, REASONS, b58decode

__all__ = [
    "FAMILIES",
    "NEXT_LAUNCH",
    "REASONS",
    "Ack",
    "Bridge",
    "BridgeError",
    "HelloRefused",
    "Nack",
    "NoAnswer",
    "NotTheExecutor",
    "Pong",
    "b58decode",
    "load_key",
]
