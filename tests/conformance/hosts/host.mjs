// A host in JavaScript: runs the component's conformance cases, on Node.js.
//
//     jco transpile python.wasm --instantiation async --no-nodejs-compat --out-dir TRANSPILED
//     node host.mjs TRANSPILED CASES
//
// One line of JSON a case goes to standard output. There are no limits here: V8 meters nothing. Whoever runs code that
// they do not trust gives each run a process of its own, with a deadline and a memory limit.

import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { WASIShim } from '@bytecodealliance/preview2-shim/instantiation';

/** What a function of the contract fails with: jco takes the payload of what is thrown for a result's `err`. */
class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.payload = { code, message, details: undefined };
  }
}

/** A stream that keeps what is written; the only one that the guest is given. */
class Kept {
  bytes = [];
  checkWrite() { return 1n << 20n; }
  write(bytes) { this.bytes.push(Buffer.from(bytes)); }
  blockingWriteAndFlush(bytes) { this.write(bytes); }
  flush() {}
  blockingFlush() {}
  text() { return Buffer.concat(this.bytes).toString(); }
}

/** What a guest may reach: one tool and artifacts, all in memory, of one case. */
function imports() {
  let started = 0n;
  let done = [];
  const kept = new Map();
  const parameter = (name) => ({ name, schema: '{}', required: true, defaultValue: undefined, description: '' });
  const tool = {
    name: 'test', description: 'Does what a test asks for', tags: ['test'],
    callables: [
      { name: 'echo', description: 'Answers what it is given', parameters: [parameter('x')] },
      { name: 'fail', description: 'Fails with this message', parameters: [parameter('message')] },
    ],
  };
  const known = (name) => {
    if (name !== 'test') throw new Refusal('not-found', `there is no tool ${name}`);
    return tool;
  };
  const call = (name, recipe, given) => {
    known(name);
    if (recipe === 'echo') return given;
    if (recipe === 'fail') throw new Refusal('tool-failed', JSON.parse(given).message);
    throw new Refusal('not-found', `the tool test has no recipe ${recipe}`);
  };
  const answer = (work) => {
    try {
      return { tag: 'ok', val: work() };
    } catch (error) {
      if (error instanceof Refusal) return { tag: 'err', val: error.payload };
      throw error;
    }
  };
  const metadata = (name) => {
    const { version, content, description } = kept.get(name);
    const size = BigInt(Buffer.byteLength(content));
    return {
      name, version, kind: 'json', mediaType: 'application/json', description, size, digest: '', createdAtMs: 0n,
      expiresAtMs: undefined, runId: '',
    };
  };
  const find = (name, version) => {
    const found = kept.get(name);
    return found && (version === undefined || version === found.version) ? found : undefined;
  };
  const refuse = () => { throw new Refusal('denied', 'this host has no library'); };
  return {
    'repertoire:workflow/calls': {
      wait: (timeout) => {
        // Nothing is in flight here that is not done, so that waiting is sleeping.
        if (done.length === 0 && timeout !== undefined) {
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(timeout) / 1e6);
        }
        return done.splice(0);
      },
      cancel: (id) => { done = done.filter((each) => each.id !== id); },
    },
    'repertoire:workflow/tools': {
      list: () => [tool], get: known, search: () => [tool], call,
      start: (...given) => {
        started += 1n;
        done.push({ id: started, answer: answer(() => call(...given)) });
        return started;
      },
    },
    'repertoire:workflow/artifacts': {
      append: refuse, read: refuse, versions: refuse,
      save: (name, content, { description }) => {
        if (content.tag !== 'json') throw new Refusal('invalid-argument', 'this host keeps JSON only');
        kept.set(name, { version: (kept.get(name)?.version ?? 0n) + 1n, content: content.val, description });
        return metadata(name);
      },
      load: (name, version) => {
        const found = find(name, version);
        return found && { tag: 'json', val: found.content };
      },
      get: (name, version) => find(name, version) && metadata(name),
      list: ({ prefix }) => [...kept.keys()].sort().filter((name) => name.startsWith(prefix)).map(metadata),
      delete: (name) => kept.delete(name),
    },
    'repertoire:workflow/workflows': Object.fromEntries(
      ['create', 'get', 'list', 'search', 'delete', 'history', 'restore', 'invoke', 'startInvoke'].map((name) => [name, refuse]),
    ),
    'repertoire:workflow/images': { providing: () => [] },
  };
}

/** WASI with nothing in it: no file, no network, no environment, and streams that are kept. */
function wasi(stdout) {
  const shim = new WASIShim({ sandbox: { preopens: {}, env: {}, args: [], enableNetwork: false } }).getImportObject();
  return {
    ...shim,
    'wasi:io/streams': { ...shim['wasi:io/streams'], OutputStream: Kept },
    'wasi:cli/stdout': { getStdout: () => stdout },
    'wasi:cli/stderr': { getStderr: () => new Kept() },
  };
}

function outcome(work) {
  try {
    const { value, text } = work();
    return text === undefined ? { value } : { text };
  } catch (error) {
    // A failure of the contract; what else is thrown is a trap.
    if (!error.payload) throw error;
    const { code, message, exceptions } = error.payload;
    return { error: code, message, exception: exceptions?.[0]?.typeName ?? '' };
  }
}

function perform(guest, given) {
  const { name, source, cells } = given;
  if (cells) return cells.map((cell) => outcome(() => guest.execute(cell))).at(-1);
  if (given.analyze) {
    const { signature, uses, description } = guest.analyze(source);
    return { signature, tools: uses.tools, description };
  }
  return outcome(() => {
    const code = given.compile ? guest.compile(name, source) : undefined;
    return guest.run({ name, source, arguments: JSON.stringify(given.arguments ?? {}), code });
  });
}

const [directory, cases] = process.argv.slice(2);
const { instantiate } = await import(pathToFileURL(resolve(directory, 'python.js')));
const modules = new Map();
const compiled = async (path) => {
  if (!modules.has(path)) modules.set(path, await WebAssembly.compile(await readFile(join(directory, path))));
  return modules.get(path);
};
for (const given of JSON.parse(await readFile(cases, 'utf8'))) {
  const stdout = new Kept();
  const { guest } = await instantiate(compiled, { ...wasi(stdout), ...imports() });
  const { value, ...got } = perform(guest, given);
  if ('stdout' in given.expected) got.stdout = stdout.text();
  // A result is JSON text, and stays it: JavaScript's numbers would lose digits.
  const rest = JSON.stringify({ name: given.name, got });
  console.log(value === undefined ? rest : rest.replace('"got":{', `"got":{"value":${value}${Object.keys(got).length ? ',' : ''}`));
}
