from typing import Any, Literal, Optional, Union

def run(a: Optional[int] = None, b: int | str = 3, c: Union[list, None] = None, d: Literal["x", 1] = "x", e: Any = None):
    pass
