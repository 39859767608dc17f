"""Fetch JSON from a URL and parse it."""


def run(url: str, headers: dict[str, str] | None = None) -> dict | list:
    """Fetch a web address that answers with JSON, and return what it says.

    Args:
        url: The URL to fetch
        headers: HTTP headers to send, for example {"Authorization": "Bearer ..."}

    Returns:
        The parsed JSON: an object or a list

    Raises:
        RuntimeError: If the request fails, or the answer is not JSON
    """
    import json

    lines = ["Accept: application/json"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    try:
        return json.loads(tools.curl.get(url=url, header=lines))
    except json.JSONDecodeError as error:
        raise RuntimeError(f"invalid JSON from {url}: {error}") from error
    except Exception as error:
        raise RuntimeError(f"failed to fetch {url}: {error}") from error
