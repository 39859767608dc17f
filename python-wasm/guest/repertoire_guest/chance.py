"""`random` differs from run to run: its generator is seeded when a run first uses it.

The snapshot froze the generator's state, and seeding it takes longer than a small workflow does. So the
module's functions, which are methods of one generator, are absent until somebody asks for one.
"""

import os
import random
import sys

_inst = random._inst
_reseed = super(random.Random, _inst).seed
_names = vars(random)
_lazy = {name: value for name, value in _names.items() if value is _inst or getattr(value, "__self__", None) is _inst}

_is_building = True
_is_seeded = False


def install():
    """Takes the functions away, from the module and from whoever has bound one already."""
    for name in _lazy:
        del _names[name]
    random.__getattr__ = _provide
    random.__dir__ = lambda: sorted([*_names, *_lazy])
    release()


def release():
    """Takes the functions away from whoever has bound one; they get it back when they call it."""
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if module not in (random, sys.modules[__name__]) and getattr(value, "__self__", None) is _inst:
                setattr(module, name, _late(value.__name__))


def begin():
    """A run begins."""
    global _is_seeded, _is_building
    _is_building = False
    if _is_seeded:
        _is_seeded = False
        for name, value in _lazy.items():
            if _names.get(name) is value:
                del _names[name]


def settle():
    """The build ends. componentize-py will ask for `random.seed`, to call it once in each instance: needlessly."""
    global _is_building
    begin()
    _is_building = True


def _provide(name):
    if name not in _lazy:
        raise AttributeError(f"module 'random' has no attribute {name!r}", name=name, obj=random)
    if _is_building:
        return _do_nothing
    global _is_seeded
    if not _is_seeded:
        _is_seeded = True
        _reseed(int.from_bytes(os.urandom(16)))
        _inst.gauss_next = None
        for each, value in _lazy.items():
            _names.setdefault(each, value)
    return _lazy[name]


def _do_nothing(*_args):
    pass


def _late(name):
    def function(*args, **options):
        return getattr(random, name)(*args, **options)

    return function
