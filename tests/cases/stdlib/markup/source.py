import html.parser, xml.dom.minidom, xml.etree.ElementTree as ElementTree, xml.sax

class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self.found.append(dict(attributes)["href"])

def run():
    links = Links()
    links.feed("<p><a href='/a'>x</a><a href=b>y")
    root = ElementTree.fromstring("<root><item n='1'>a</item><item n='2'/></root>")

    class Count(xml.sax.ContentHandler):
        seen = 0

        def startElement(self, name, attributes):
            self.seen += 1

    count = Count()
    xml.sax.parseString(b"<a><b/><b/></a>", count)
    return {
        "links": links.found,
        "xml": [item.get("n") for item in root.iter("item")],
        "text": ElementTree.tostring(root, encoding="unicode"),
        "minidom": xml.dom.minidom.parseString("<a><b/></a>").documentElement.tagName,
        "sax": count.seen,
    }
