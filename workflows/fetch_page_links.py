"""Fetch a web page and list the links on it."""


def run(url: str, only_same_site: bool = False) -> list[dict]:
    """Fetch a web page, and list where it leads.

    Args:
        url: The page's URL
        only_same_site: Leave out links to other hosts

    Returns:
        For each link, in the order of the page and without repetition: url and text

    Raises:
        RuntimeError: If the request fails
    """
    from urllib.parse import urlsplit

    try:
        html = tools.curl.get(url=url)
    except Exception as error:
        raise RuntimeError(f"failed to fetch {url}: {error}") from error
    links = workflows.invoke("extract_links", html=html, base_url=url)
    if only_same_site:
        links = [link for link in links if urlsplit(link["url"]).netloc == urlsplit(url).netloc]
    return links
