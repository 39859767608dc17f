import email, email.message, email.policy, http, http.client, http.cookies, ipaddress, mimetypes, urllib.error, urllib.parse, urllib.request, uuid

def run():
    message = email.message.EmailMessage()
    message["Subject"], message["To"] = "Grüße", "ada@example.org"
    message.set_content("hello")
    message.add_attachment(b"x", maintype="application", subtype="octet-stream", filename="x.bin")
    parsed = email.message_from_bytes(bytes(message), policy=email.policy.default)
    cookie = http.cookies.SimpleCookie("a=b")
    request = urllib.request.Request("http://example.org/x", data=b"1", headers={"A": "b"})
    return {
        "mail": [parsed["Subject"], parsed.get_body().get_content().strip(), [part.get_filename() for part in parsed.iter_attachments()]],
        "url": list(urllib.parse.urlsplit("https://u@example.org:8080/a/b?c=d#e")),
        "query": urllib.parse.parse_qs("a=1&a=2&b=%C3%A9"),
        "join": urllib.parse.urljoin("http://example.org/a/b", "../c"),
        "quote": urllib.parse.quote("a b/é"),
        "request": [request.get_method(), request.host],
        "status": http.HTTPStatus.NOT_FOUND.phrase,
        "cookie": cookie["a"].value,
        "network": [str(ipaddress.ip_network("10.0.0.0/30")[1]), ipaddress.ip_address("127.0.0.1").is_loopback],
        "mime": mimetypes.guess_type("a.json")[0],
        "uuid5": str(uuid.uuid5(uuid.NAMESPACE_URL, "http://example.org")),
        "idna": "bücher.example".encode("idna").decode(),
    }
