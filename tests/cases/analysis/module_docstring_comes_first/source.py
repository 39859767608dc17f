"""Fetch a page.

With more to say.
"""

def run(url: str) -> str:
    """Something else."""
    return url
