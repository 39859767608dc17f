"""The component's entry point: the exports of `wit/guest.wit`, each a line or two."""

from repertoire_guest import glue  # first: it changes what the others bind

from componentize_py_types import Err
from repertoire_guest import compiled, packages, perform, report, snapshot

snapshot.take()
_session = perform.Session()


class Guest:
    """Implements the interface `guest`."""

    def warm_up(self):
        snapshot.warm_up()

    def install(self, wheels):
        return packages.export(wheels)

    def analyze(self, source):
        return report.analyze(source)

    def compile(self, name, source):
        return compiled.export(name, source)

    def run(self, invocation):
        try:
            return perform.run(invocation.name, invocation.source, invocation.arguments, invocation.code)
        except perform.Failed as failed:
            raise Err(failed.failure) from None

    def execute(self, code):
        try:
            return _session.execute(code)
        except perform.Failed as failed:
            raise Err(failed.failure) from None


snapshot.settle(Guest())
