"""The runtime that lies between the WIT world and a workflow's Python.

In reading order:

    glue          the imports without what componentize-py puts around them
    stdlib        the standard library and time-zone data, kept in the snapshot
    refusals      what cannot work here fails with an error that names the way out
    standard_streams  what print writes, and why there is nothing to read
    chance, lines    `random` seeded, and sources cut into lines, when first used
    jsontext      values <-> the JSON texts that cross the boundary
    errors        WIT errors <-> the exceptions of the module `repertoire`
    event_loop    asyncio on the host's completion queue
    records       what get, list and search return
    tools, workflows, artifacts   the three globals of a workflow
    compiled      code objects that the host keeps for later runs
    failure       an exception -> what the host is told of it
    perform       runs a workflow; executes agent code
    analysis      what a source says about itself, without running it
    packages      wheels, installed and imported for a runtime image
    snapshot      everything that is done once, while the component is built

Nothing here is a boundary: a workflow shares the interpreter with this code
and can rewrite all of it. What a workflow may do is decided by the host.
"""
