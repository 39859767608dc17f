from dataclasses import dataclass, field
from enum import Enum
from typing import NotRequired, TypedDict

class Color(Enum):
    RED = "red"
    BLUE = "blue"

class Repository(TypedDict):
    name: str
    stars: NotRequired[int]

@dataclass
class Query:
    """What to look for."""

    text: str
    limit: int = 10
    tags: list[str] = field(default_factory=list)
    color: Color = Color.RED

def run(query: Query, known: list[Repository]) -> Repository:
    return known[0]
