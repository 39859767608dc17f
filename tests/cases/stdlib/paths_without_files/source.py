import fnmatch, io, os.path, pathlib, posixpath, tempfile

def run():
    path = pathlib.PurePosixPath("/a/b/c.tar.gz")
    spooled = tempfile.SpooledTemporaryFile()
    spooled.write(b"abc")
    spooled.seek(0)
    return {
        "pathlib": [path.name, path.stem, path.suffixes, str(path.parent), path.match("*.gz"), str(path.with_suffix(".x"))],
        "windows": str(pathlib.PureWindowsPath("C:/a") / "b"),
        "os": [os.path.join("a", "b"), posixpath.normpath("a/../b"), os.path.splitext("a.b")],
        "fnmatch": fnmatch.filter(["a.py", "b.txt"], "*.py"),
        "bytes": io.BytesIO(b"abc").read(2).decode(),
        "lines": io.StringIO("a\nb\n").readlines(),
        "spooled": spooled.read().decode(),
        "exists": os.path.exists("/etc/passwd"),
    }
