/** @file Code that means harm, and what comes of it: the same list in Node and in Chromium. */
import type { RunResult } from '../../../src/envs';

export interface HostileCase {
  name: string;
  code: string;
  /** What the run must give: its value, or what it prints, or its error. */
  gives: string | RegExp;
  stopped?: RunResult['stopped'];
  /**
   * Code that nests deeper than the stack of a browser's worker: what QuickJS notices in time in Node may end its worker
   * there. Both are kept from the rest.
   */
  deep?: true;
}

/** Everything in the global scope: the language and the console. What else there was would be a way out. */
const GLOBALS = [
  'AggregateError Array ArrayBuffer BigInt BigInt64Array BigUint64Array Boolean DataView Error EvalError Float16Array',
  'Float32Array Float64Array Function Infinity Int16Array Int32Array Int8Array InternalError Iterator JSON Map Math NaN',
  'Number Object Promise Proxy RangeError ReferenceError Reflect RegExp Set String Symbol SyntaxError TypeError URIError',
  'Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakSet console decodeURI decodeURIComponent encodeURI',
  'encodeURIComponent escape eval globalThis isFinite isNaN parseFloat parseInt undefined unescape',
].join(' ');

/** What a page or Node has and a sandbox has not. */
const ABSENT = [
  ...[
    'fetch',
    'XMLHttpRequest',
    'WebSocket',
    'EventSource',
    'navigator',
    'importScripts',
    'require',
    'process',
    'module',
  ],
  ...['postMessage', 'onmessage', 'self', 'window', 'document', 'Worker', 'BroadcastChannel', 'MessageChannel'],
  ...['localStorage', 'sessionStorage', 'indexedDB', 'caches', 'setTimeout', 'setInterval', 'setImmediate'],
  ...['queueMicrotask', 'requestAnimationFrame', 'structuredClone', 'Date', 'performance', 'WebAssembly', 'Atomics'],
  ...[
    'SharedArrayBuffer',
    'crypto',
    'Buffer',
    'std',
    'os',
    'print',
    'scriptArgs',
    'gc',
    'WeakRef',
    'FinalizationRegistry',
  ],
];

const TOO_MANY_STEPS = /^stopped after 5000000 steps; nothing that was declared is left$/;
const TOO_MUCH_MEMORY = /^stopped at 16777216 bytes of memory; nothing that was declared is left$/;
const OVERFLOW = /stack overflow/;

const endless: HostileCase[] = [
  ['for', 'for (;;);'],
  ['while in try', 'for (;;) try { for (;;); } catch {}'],
  ['finally', '(function f() { try { for (;;); } finally { f(); } })()'],
  ['generator', 'const g = (function* () { for (;;) yield 1; })(); for (const x of g);'],
  ['promises that make promises', '(function f() { Promise.resolve().then(f); })()'],
  ['async functions', '(async function () { for (;;) await 1; })()'],
  ['getter', '({ get a() { for (;;); } }).a'],
  ['proxy that is shown', 'new Proxy({}, { ownKeys() { for (;;); } })'],
  ['error that is shown', 'throw { get name() { for (;;); } }'],
  ['toString', '`${{ toString() { for (;;); } }}`'],
  ['sort', '[1, 2].sort(() => { for (;;); })'],
  ['regular expression', '/(a+)+$/.test("a".repeat(40) + "b")'],
  ['eval', 'eval("for (;;);")'],
  ['Function', 'new Function("for (;;);")()'],
  ['labels', 'a: for (;;) for (;;) continue a;'],
].map(([name, code]) => ({ name: `endless: ${name}`, code: code!, gives: TOO_MANY_STEPS, stopped: 'steps' }));

const bombs: HostileCase[] = [
  ['array', 'const a = []; for (;;) a.push({ a });'],
  ['arrays', 'let a = []; for (;;) a = [a, a, new Array(100)];'],
  ['strings', 'const a = []; for (let i = 0; ; i++) a.push(`${i}`.padEnd(10000));'],
  ['map', 'const m = new Map(); for (let i = 0; ; i++) m.set(i, {});'],
  ['closures', 'const a = []; for (;;) a.push(() => a);'],
  ['one array buffer', 'new ArrayBuffer(2 ** 30)'],
  ['typed arrays', 'const a = []; for (;;) a.push(new Float64Array(1000));'],
  ['padded text', '"x".padEnd(2 ** 29)'],
  ['joined text', 'Array(100).fill("x".repeat(2 ** 20)).join("")'],
  ['spread', 'const a = [1]; for (;;) a.push(...a.slice(0, 10000));'],
  ['symbols', 'const a = []; for (;;) a.push(Symbol());'],
  ['properties', 'const o = {}; for (let i = 0; ; i++) o[`key${i}`] = i;'],
  ['promises', 'const a = []; for (;;) a.push(new Promise(() => {}));'],
  ['what is free again', '(() => { const a = []; for (;;) a.push({ a }); })()'],
].map(([name, code]) => ({ name: `memory: ${name}`, code: code!, gives: TOO_MUCH_MEMORY, stopped: 'memory' }));

const recursion: HostileCase[] = [
  ['function', '(function f() { f(); })()'],
  ['getter', '({ get a() { return this.a; } }).a'],
  ['sort', '[1, 2, 3].sort(function c() { [2, 1].sort(c); return 1; })'],
  ['replace', '"x".replace(/x/, function r() { return "x".replace(/x/, r); })'],
  ['toString', 'const a = { toString() { return "" + a; } }; "" + a'],
  ['constructor', 'class A { constructor() { new A(); } } new A()'],
  ['proxies', 'let p = {}; for (let i = 0; i < 1e4; i++) p = new Proxy(p, {}); p.x'],
].map(([name, code]) => ({ name: `recursion: ${name}`, code: code!, gives: OVERFLOW }));

const nesting: HostileCase[] = [
  ['parentheses', 'eval("(".repeat(1e5) + "1" + ")".repeat(1e5))'],
  ['brackets', 'eval("[".repeat(1e5) + "1" + "]".repeat(1e5))'],
  ['templates', 'eval("`${".repeat(1e4) + "1" + "}`".repeat(1e4))'],
  ['JSON', 'JSON.parse("[".repeat(1e5) + "]".repeat(1e5))'],
  ['arrows', 'eval("a=>".repeat(1e5) + "1")'],
  ['text of arrays', 'let a = []; for (let i = 0; i < 1e5; i++) a = [a]; String(a)'],
  ['regular expression', 'new RegExp("(?:".repeat(1e5) + ")".repeat(1e5))'],
  ['iterators', 'const it = { [Symbol.iterator]: () => [...it] }; [...it]'],
].map(([name, code]) => ({ name: `nesting: ${name}`, code: code!, gives: OVERFLOW, deep: true }));

export const HOSTILE: readonly HostileCase[] = [
  ...endless,
  ...bombs,
  ...recursion,
  ...nesting,
  {
    name: 'no globals but the language',
    code: 'Object.getOwnPropertyNames(globalThis).sort().join(" ")',
    gives: GLOBALS,
  },
  ...ABSENT.map((name) => ({ name: `no ${name}`, code: `typeof ${name}`, gives: 'undefined' })),
  { name: 'import', code: 'import fs from "node:fs"', gives: /SyntaxError/ },
  { name: 'dynamic import', code: 'import("node:fs")', gives: /could not load module 'node:fs'/ },
  { name: 'dynamic import of a URL', code: 'import("data:text/javascript,1")', gives: /could not load module/ },
  { name: 'import.meta', code: 'import.meta.url', gives: /SyntaxError/ },
  { name: 'fetch', code: 'fetch("/")', gives: /'fetch' is not defined/ },
  { name: 'this', code: 'this === globalThis && typeof this.postMessage', gives: 'undefined' },
  { name: 'a function’s this', code: '(function () { return typeof this.process; })()', gives: 'undefined' },
  {
    name: 'constructor.constructor',
    code: '[].constructor.constructor("return typeof process")()',
    gives: 'undefined',
  },
  { name: 'the console’s constructor', code: 'console.log.constructor("return typeof self")()', gives: 'undefined' },
  { name: 'Math.random’s constructor', code: 'Math.random.constructor("return typeof fetch")()', gives: 'undefined' },
  { name: 'an async constructor', code: '(async () => {}).constructor("return typeof fetch")()', gives: 'undefined' },
  { name: 'indirect eval', code: '(0, eval)("typeof process")', gives: 'undefined' },
  { name: 'the caller', code: '(function f() { return f.caller; })()', gives: /undefined|null|TypeError/ },
  { name: 'the stack', code: 'new Error("x").stack.includes("lazy-worker")', gives: 'false' },
  {
    name: 'Error.prepareStackTrace',
    code: 'Error.prepareStackTrace = (e, s) => s; typeof new Error().stack',
    gives: /./,
  },
  { name: 'a getter as a result', code: '({ get a() { throw 1; } })', gives: '{a: (getter)}' },
  { name: 'a proxy as a result', code: 'new Proxy([1], { get() { throw 1; } })', gives: /cannot be shown/ },
  { name: 'a revoked proxy', code: 'const r = Proxy.revocable({}, {}); r.revoke(); r.proxy', gives: /cannot be shown/ },
  { name: 'a thenable as a result', code: '({ then(f) { f(this); } })', gives: '{then: [function then]}' },
  { name: 'toJSON as a result', code: '({ toJSON() { return 1; } })', gives: '{toJSON: [function toJSON]}' },
  { name: 'a circle', code: 'const o = {}; o.o = o; o', gives: '{o: (circular)}' },
  { name: 'a promise that is never settled', code: 'new Promise(() => {})', gives: /never settled/ },
  { name: 'a promise that fails', code: 'Promise.reject(new Error("late"))', gives: 'Error: late' },
  { name: 'thrown: a number', code: 'throw 7', gives: 'thrown: 7' },
  { name: 'thrown: null', code: 'throw null', gives: 'thrown: null' },
  { name: 'thrown: undefined', code: 'throw undefined', gives: 'thrown: undefined' },
  { name: 'thrown: a symbol', code: 'throw Symbol("s")', gives: 'thrown: Symbol(s)' },
  { name: 'thrown: a getter', code: 'throw { get name() { throw 1; } }', gives: /cannot be shown/ },
  { name: 'thrown: a proxy', code: 'throw new Proxy(Error("x"), { get() { throw 1; } })', gives: /cannot be shown/ },
  { name: 'thrown: a function', code: 'throw function f() {}', gives: 'thrown: [function f]' },
  {
    name: 'huge output',
    code: 'for (let i = 0; i < 1e5; i++) console.log("line", i)',
    gives: /line 1\n[^]*\[the output goes on: its first 10000 characters are shown\]\n$/,
  },
  {
    name: 'one huge line',
    code: 'console.log("x".repeat(1e6))',
    gives: /^x{10000}\n\[the output goes on: its first 10000 characters are shown\]\n$/,
  },
  { name: 'a huge value', code: '"x".repeat(1e6)', gives: /^x{10000}\n\[the text goes on: its first 10000 characters/ },
  {
    name: 'a huge array',
    code: 'Array(1e5).fill(7)',
    gives: /^\[7, 7[^]*\n\[the text goes on: its first 10000 characters/,
  },
  { name: 'a huge error', code: 'throw new Error("x".repeat(1e6))', gives: /^Error: x+\n\[the text goes on/ },
  { name: 'a huge thrown text', code: 'throw "x".repeat(1e6)', gives: /^thrown: x+\n\[the text goes on/ },
  { name: 'huge code', code: `1;${' '.repeat(60_000)}`, gives: 'the code has 60002 characters; at most 50000 fit' },
  { name: 'half a surrogate pair', code: '"\\ud800"', gives: /^.{1,3}$/ },
  { name: 'no code', code: '', gives: 'undefined' },
  { name: 'a zero byte', code: '"a\\0b".length', gives: '3' },
  {
    name: 'prototypes',
    code:
      'Array.prototype.push = 1; Array.prototype[Symbol.iterator] = 1; String.prototype.slice = 1;' +
      'Function.prototype.call = 1; RegExp.prototype.exec = 1; Object.prototype.get = 1; Object.prototype.value = 1;' +
      'console.log([1, { a: "b" }]); [1, { a: "b" }]',
    gives: '[1, {a: "b"}]\n=> [1, {a: "b"}]',
  },
  {
    name: 'what shows values, replaced',
    code: 'JSON.stringify = Reflect.ownKeys = Array.isArray = Object.is = String = null; console.log = 1; ({ a: ["b"] })',
    gives: '{a: ["b"]}',
  },
  { name: 'eval, replaced', code: 'globalThis.eval = () => 5; globalThis.undefined; eval("1")', gives: '5' },
];
