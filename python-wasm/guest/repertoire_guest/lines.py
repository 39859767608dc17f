"""Sources for tracebacks, cut into lines only when somebody looks."""

import linecache


class _Source(tuple):
    """What stands in `linecache.cache` for a source that nobody has looked at."""

    __slots__ = ()


class _Cache(dict):
    def __getitem__(self, filename):
        entry = dict.__getitem__(self, filename)
        if type(entry) is _Source:
            source = entry[0]
            entry = self[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        return entry

    def get(self, filename, default=None):
        return self[filename] if filename in self else default


_cache = linecache.cache = _Cache()


def remember(filename, source):
    """Lets tracebacks show the source's own lines."""
    _cache[filename] = _Source((source,))


def forget(filename):
    """Forgets a source."""
    _cache.pop(filename, None)
