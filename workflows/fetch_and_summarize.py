"""Fetch a web page and extract its title, first paragraph and length."""


def run(url: str, max_characters: int = 500) -> dict:
    """Fetch a web page or a text, and say what it is about.

    Args:
        url: The URL to fetch
        max_characters: The longest summary, in characters

    Returns:
        url, title (or None), summary (the first paragraph that is one) and word_count

    Raises:
        ValueError: If max_characters is less than 1
        RuntimeError: If the request fails
    """
    import re
    from html.parser import HTMLParser

    if max_characters < 1:
        raise ValueError(f"max_characters is {max_characters}; use at least 1")
    try:
        content = tools.curl.get(url=url)
    except Exception as error:
        raise RuntimeError(f"failed to fetch {url}: {error}") from error

    class Page(HTMLParser):
        """Collects the title, and the text that a reader would see."""

        HIDDEN = {"script", "style", "template", "noscript", "head"}
        BLOCKS = {"p", "div", "li", "tr", "section", "article", "pre", "h1", "h2", "h3", "h4", "h5", "h6"}

        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.in_title = 0, False
            self.title, self.text = "", ""

        def handle_starttag(self, tag: str, attrs: list) -> None:
            self.hidden += tag in self.HIDDEN
            self.in_title = tag == "title"
            if tag in self.BLOCKS:
                self.text += "\n\n"

        def handle_endtag(self, tag: str) -> None:
            self.hidden = max(0, self.hidden - (tag in self.HIDDEN))
            self.in_title = False
            if tag in self.BLOCKS:
                self.text += "\n\n"

        def handle_data(self, data: str) -> None:
            if self.in_title:
                self.title += data
            elif not self.hidden:
                self.text += data

    title = None
    if re.search(r"<(html|body|p|div|!doctype)\b", content[:4096], re.IGNORECASE):
        page = Page()
        page.feed(content)
        page.close()
        title, content = " ".join(page.title.split()) or None, page.text

    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", content)]
    # A heading or a menu is a few words; a paragraph is a sentence.
    sentences = [part for part in paragraphs if len(part.split()) >= 8]
    summary = next(iter(sentences), next((part for part in paragraphs if part), ""))
    if len(summary) > max_characters:
        summary = summary[: max_characters - 1].rstrip() + "…"
    return {"url": url, "title": title, "summary": summary, "word_count": len(content.split())}
