import base64, binascii, configparser, csv, io, json, pickle, plistlib, pprint, quopri, struct, tomllib

def run():
    table = io.StringIO()
    csv.writer(table).writerow(["a,b", 'c"d', 1])
    settings = configparser.ConfigParser()
    settings.read_string("[server]\nport = 8080\n")
    return {
        "json": json.loads(json.dumps({"a": [1, 2.5, None, True, "é"]})),
        "csv": [table.getvalue(), list(csv.DictReader(io.StringIO("x,y\n1,2\n")))],
        "toml": tomllib.loads("[a]\nb = [1, 2]\nc = 'd'"),
        "ini": settings.getint("server", "port"),
        "base64": [base64.b64encode(b"hello").decode(), base64.b64decode("aGVsbG8=").decode()],
        "binascii": binascii.crc32(b"hello"),
        "struct": list(struct.unpack("<HI", struct.pack("<HI", 1, 2))),
        "pickle": pickle.loads(pickle.dumps({"a": (1, 2)}))["a"][1],
        "plist": plistlib.loads(plistlib.dumps({"a": 1})),
        "quopri": quopri.encodestring("é".encode()).decode(),
        "pprint": pprint.pformat({"b": 1, "a": 2}),
    }
