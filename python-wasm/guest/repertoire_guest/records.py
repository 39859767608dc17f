"""What `get`, `list` and `search` return: `workflow["name"]` and `workflow.name` alike.

A record is a dict, so that a workflow can return it as it is; it is read-only
because changing it would change nothing that is stored.
"""

from . import jsontext


class Record(dict):
    """A read-only dict whose keys are attributes too."""

    __slots__ = ()

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            known = ", ".join(self)
            raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {known}", name=name, obj=self) from None

    def _read_only(self, *_args, **_options):
        raise TypeError(f"a {type(self).__name__} is read-only; dict(...) makes a copy that can be changed")

    __setitem__ = __delitem__ = __setattr__ = __delattr__ = __ior__ = _read_only
    update = setdefault = pop = popitem = clear = _read_only

    def __dir__(self):
        return [*super().__dir__(), *self]

    def __repr__(self):
        fields = ", ".join(f"{name}={_brief(value)}" for name, value in self.items())
        return f"{type(self).__name__}({fields})"

    def __reduce__(self):
        return (type(self), (dict(self),))

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        from copy import deepcopy

        return type(self)({name: deepcopy(value, memo) for name, value in self.items()})


def _brief(value):
    shown = repr(value)
    return shown if len(shown) <= 120 else f"{shown[:80]}...{shown[-20:]}"


class Workflow(Record):
    """A saved workflow."""

    __slots__ = ()


class Pin(Record):
    """A workflow that another one invokes, and its version when that one was created."""

    __slots__ = ()


class Tool(Record):
    """A tool that may be called."""

    __slots__ = ()


class Callable(Record):
    """One way to call a tool: the tool itself (no name), or a recipe."""

    __slots__ = ()


class Parameter(Record):
    """One parameter of a workflow or a tool."""

    __slots__ = ()


class Artifact(Record):
    """What is known of an artifact without loading it."""

    __slots__ = ()


def parameter(wit):
    fields = {
        "name": wit.name,
        "description": wit.description,
        "schema": jsontext.decode(wit.schema),
        "required": wit.required,
    }
    if wit.default_value is not None:
        fields["default"] = jsontext.decode(wit.default_value)
    return Parameter(fields)


def _workflow_fields(wit):
    return {
        "name": wit.name,
        "description": wit.description,
        "signature": wit.signature,
        "parameters": [parameter(item) for item in wit.parameters],
        "returns": jsontext.decode(wit.returns),
        "source": wit.source,
        "digest": wit.digest,
        "version": wit.version,
        "invokes": [Pin({"name": item.name, "version": item.version}) for item in wit.invokes],
        "created_at_ms": wit.created_at_ms,
        "warnings": list(wit.warnings),
    }


def workflow(wit):
    return Workflow(_workflow_fields(wit))


def creation(wit):
    return Workflow({**_workflow_fields(wit.workflow), "deleted_at_ms": wit.deleted_at_ms})


def hit(wit):
    return Workflow({**_workflow_fields(wit.workflow), "score": wit.score, "matched": list(wit.matched)})


def callable_(wit):
    return Callable(
        {
            "name": wit.name,
            "description": wit.description,
            "parameters": [parameter(item) for item in wit.parameters],
        }
    )


def tool(wit):
    return Tool(
        {
            "name": wit.name,
            "description": wit.description,
            "tags": list(wit.tags),
            "callables": [callable_(item) for item in wit.callables],
        }
    )


def artifact(wit):
    return Artifact(
        {
            "name": wit.name,
            "version": wit.version,
            "kind": wit.kind,
            "media_type": wit.media_type,
            "description": wit.description,
            "size": wit.size,
            "digest": wit.digest,
            "created_at_ms": wit.created_at_ms,
            "expires_at_ms": wit.expires_at_ms,
            "run_id": wit.run_id,
        }
    )
