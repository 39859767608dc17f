"""What a source says about itself, found by reading it and never by running it.

    source -> parse -> entry (`run`) -> parameters and result (JSON Schema)
                                     -> docstring, uses, warnings
           -> inline script metadata (PEP 723): what it requires

This package needs nothing of the component and runs on any Python from 3.11 on, which is how its tests run.
"""

from dataclasses import dataclass, field

from . import docstrings, entry, metadata, schema, standards, uses
from .entry import InvalidSource

__all__ = ["Analysis", "InvalidSource", "Parameter", "analyze"]


@dataclass
class Parameter:
    """One keyword argument of `run`; `default` is JSON text, or None if it has none that JSON can say."""

    name: str
    schema: dict
    required: bool
    default: str | None
    description: str


@dataclass
class Analysis:
    """What a source says about itself."""

    is_async: bool
    parameters: list[Parameter]
    accepts_unknown: bool
    returns: dict
    returns_description: str
    raises: list[tuple[str, str]]
    signature: str
    description: str
    docstring: str
    uses: uses.Uses
    requires: metadata.Requirements
    warnings: list[standards.Warning] = field(default_factory=list)


def analyze(source):
    """Analyses a source; raises `InvalidSource` if it does not parse or has no usable `run`."""
    try:
        return _analyze(source)
    except (RecursionError, MemoryError):
        raise InvalidSource("the source is nested too deeply to be read") from None


def _analyze(source):
    tree = entry.parse(source)
    run = entry.find(tree)
    schemas = schema.Schemas(tree)
    module_doc = docstrings.parse(docstrings.of(tree))
    run_doc = docstrings.parse(docstrings.of(run))
    parameters = [
        Parameter(
            name=argument.arg,
            schema=schemas.parameter(argument.annotation, default),
            required=default is None,
            default=schema.literal(default),
            description=run_doc.parameters.get(argument.arg, ""),
        )
        for argument, default in entry.keyword_parameters(run)
    ]
    return Analysis(
        is_async=entry.is_async(run),
        parameters=parameters,
        accepts_unknown=run.args.kwarg is not None,
        returns=schemas.result(run.returns),
        returns_description=run_doc.returns,
        raises=run_doc.raises,
        signature=entry.signature(run),
        description=module_doc.summary or run_doc.summary,
        docstring=docstrings.of(run),
        uses=uses.find(tree),
        requires=metadata.read(source),
        warnings=standards.check(tree, run),
    )
