"""Parse an RSS or Atom feed into its title and entries."""


def run(xml_text: str, limit: int = 20) -> dict:
    """Read a news feed: RSS 2.0, RSS 1.0 or Atom.

    Args:
        xml_text: The feed's XML
        limit: The most entries to return

    Returns:
        kind (rss or atom), title, and entries: for each its title, link, published and
        summary, as far as the feed has them, as text without markup

    Raises:
        ValueError: If the text is not XML, or no feed
    """
    import html
    import re
    from xml.etree import ElementTree

    if "<!ENTITY" in xml_text:
        raise ValueError("the feed declares entities of its own, which no feed needs")
    try:
        root = ElementTree.fromstring(xml_text.strip())
    except ElementTree.ParseError as error:
        raise ValueError(f"the text is not XML: {error}") from error

    def local(element) -> str:
        return element.tag.rpartition("}")[2]

    def child(element, *names: str):
        for name in names:
            for candidate in element:
                if local(candidate) == name:
                    return candidate
        return None

    def text(element, *names: str) -> str | None:
        found = child(element, *names)
        if found is None:
            return None
        content = html.unescape(re.sub(r"<[^>]*>", " ", "".join(found.itertext())))
        return " ".join(content.split()) or None

    def link(element) -> str | None:
        links = [candidate for candidate in element if local(candidate) == "link"]
        preferred = [found for found in links if found.get("rel", "alternate") == "alternate"]
        for found in preferred + links:
            address = found.get("href") or (found.text or "").strip()
            if address:
                return address
        return None

    kind = {"rss": "rss", "RDF": "rss", "feed": "atom"}.get(local(root))
    if kind is None:
        raise ValueError(f"<{local(root)}> is no feed; RSS begins with <rss>, Atom with <feed>")
    channel = child(root, "channel") if kind == "rss" else root
    if channel is None:
        raise ValueError("the RSS feed has no <channel>")
    # RSS 1.0 has its items beside the channel.
    items = [
        element
        for parent in ([channel] if channel is root else [channel, root])
        for element in parent
        if local(element) in ("item", "entry")
    ]
    return {
        "kind": kind,
        "title": text(channel, "title"),
        "entries": [
            {
                "title": text(item, "title"),
                "link": link(item),
                "published": text(item, "pubDate", "published", "date", "updated"),
                "summary": text(item, "description", "summary", "content"),
            }
            for item in items[: max(0, limit)]
        ],
    }
