"""Extract all links of an HTML page with their texts."""


def run(html: str, base_url: str = "") -> list[dict]:
    """Find the links of an HTML page.

    Args:
        html: The page's source
        base_url: Where the page lies; relative links become absolute with it

    Returns:
        For each address, in the order of the page and without repetition: url and text

    Raises:
        ValueError: If a link and base_url cannot be joined
    """
    from html.parser import HTMLParser
    from urllib.parse import urljoin

    class Links(HTMLParser):
        """Collects what is between <a href=...> and </a>."""

        def __init__(self) -> None:
            super().__init__()
            self.found: dict[str, str] = {}
            self.current: str | None = None

        def handle_starttag(self, tag: str, attrs: list) -> None:
            if tag != "a":
                return
            address = (dict(attrs).get("href") or "").strip()
            if not address or address.startswith("#") or address.lower().startswith("javascript:"):
                self.current = None
                return
            url = urljoin(base_url, address)
            # Of several links to one address, the first that has a text gives it.
            self.current = None if self.found.get(url, "").strip() else url
            self.found.setdefault(url, "")

        def handle_endtag(self, tag: str) -> None:
            if tag == "a":
                self.current = None

        def handle_data(self, data: str) -> None:
            if self.current is not None:
                self.found[self.current] += data

    page = Links()
    page.feed(html)
    page.close()
    return [{"url": url, "text": " ".join(text.split())} for url, text in page.found.items()]
