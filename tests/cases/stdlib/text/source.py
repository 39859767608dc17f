import difflib, html, re, shlex, string, textwrap, unicodedata

def run():
    return {
        "re": re.findall(r"(?P<word>\w+)@", "ada@example.org, bob@example.org"),
        "sub": re.sub(r"(\d+)", lambda match: str(int(match[1]) + 1), "a1b22"),
        "difflib": list(difflib.unified_diff(["a", "b"], ["a", "c"], lineterm="")),
        "close": difflib.get_close_matches("fetch_jsn", ["fetch_json", "resize"]),
        "textwrap": textwrap.fill("the quick brown fox jumps", 10),
        "template": string.Template("$who says $$1").substitute(who="Ada"),
        "shlex": shlex.split("curl -H 'a b' x"),
        "html": [html.escape("<a & b>"), html.unescape("&eacute;&lt;")],
        "unicode": [unicodedata.name("é"), unicodedata.normalize("NFD", "é") == "e\u0301"],
    }
