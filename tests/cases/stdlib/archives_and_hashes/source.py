import gzip, hashlib, hmac, io, tarfile, zipfile, zlib

def run():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        writer.writestr("a/b.txt", "hello " * 100)
    with zipfile.ZipFile(archive) as reader:
        names, text = reader.namelist(), reader.read("a/b.txt").decode()
    tape = io.BytesIO()
    with tarfile.open(fileobj=tape, mode="w:gz") as writer:
        info = tarfile.TarInfo("x")
        info.size = 3
        writer.addfile(info, io.BytesIO(b"abc"))
    tape.seek(0)
    with tarfile.open(fileobj=tape) as reader:
        member = reader.extractfile("x").read().decode()
    return {
        "zip": [names, len(text), len(archive.getvalue()) < 300],
        "tar": member,
        "gzip": gzip.decompress(gzip.compress(b"abc")).decode(),
        "zlib": [zlib.decompress(zlib.compress(b"abc" * 9)).decode(), zlib.crc32(b"abc"), zlib.adler32(b"abc")],
        "sha256": hashlib.sha256(b"abc").hexdigest(),
        "others": {name: hashlib.new(name, b"abc").hexdigest()[:16] for name in ("md5", "sha1", "sha512", "sha3_256", "blake2b", "blake2s")},
        "hmac": hmac.new(b"key", b"message", "sha256").hexdigest()[:16],
    }
