/*
 * Runs in every new sandbox before anything else: the console, Math.random, and how values are shown. What it needs of the
 * language it takes now, so that nothing the model's code changes later can get in its way.
 */
// eslint-disable-next-line @typescript-eslint/no-unused-expressions -- what the file is worth to the interpreter
(function prepare(print, random) {
  'use strict';
  const { isArray } = Array;
  const { isView } = ArrayBuffer;
  const { is, create } = Object;
  const { ownKeys, getOwnPropertyDescriptor } = Reflect;
  const { stringify } = JSON;
  const text = String;
  const Failure = Error;
  const method = (run) => Function.prototype.call.bind(run);
  const owns = method(Object.prototype.hasOwnProperty);
  const slice = method(String.prototype.slice);
  const matches = method(RegExp.prototype.exec);
  const eachOfMap = method(Map.prototype.forEach);
  const eachOfSet = method(Set.prototype.forEach);
  const PLAIN_KEY = /^[A-Za-z_$][\w$]*$/;

  /** Characters that are kept. */
  let limit = 0;
  /** Thrown when no more text fits. */
  const FULL = {};
  let shown = '';
  const put = (piece) => {
    shown += piece;
    if (shown.length > limit) throw FULL;
  };
  /** Whether the last text that was asked for was cut. */
  let wasCut = false;
  const write = (fill) => {
    shown = '';
    wasCut = false;
    try {
      fill();
    } catch (error) {
      if (error !== FULL) throw error;
      wasCut = true;
      shown = slice(shown, 0, limit);
    }
    return shown;
  };

  const list = (opening, closing, count, item) => {
    put(opening);
    for (let i = 0; i < count; i++) {
      if (i > 0) put(', ');
      item(i);
    }
    put(closing);
  };

  const property = (value, key, parents) => {
    const found = getOwnPropertyDescriptor(value, key);
    if (found === undefined) put('(empty)');
    else if (owns(found, 'value')) inspect(found.value, parents);
    else put('(getter)');
  };

  /** @param parents the objects around it, the innermost first: `{ value, next }` */
  const inspect = (value, parents) => {
    switch (typeof value) {
      case 'string':
        return put(stringify(value.length > limit ? slice(value, 0, limit + 1) : value));
      case 'bigint':
        put(text(value));
        return put('n');
      case 'function': {
        const name = getOwnPropertyDescriptor(value, 'name');
        const known = name !== undefined && typeof name.value === 'string' && name.value !== '';
        return put(known ? `[function ${name.value}]` : '[function]');
      }
      case 'object':
        return value === null ? put('null') : inspectObject(value, parents);
      default:
        return put(is(value, -0) ? '-0' : text(value));
    }
  };

  /** Shows a map or a set; whether it was one. */
  const collection = (name, each, value, inside) => {
    try {
      each(value, () => undefined);
    } catch {
      return false;
    }
    put(`${name} {`);
    let first = true;
    each(value, (item, key) => {
      if (!first) put(', ');
      first = false;
      if (name === 'Map') {
        inspect(key, inside);
        put(' => ');
      }
      inspect(item, inside);
    });
    put('}');
    return true;
  };

  const inspectObject = (value, parents) => {
    for (let parent = parents; parent !== null; parent = parent.next) {
      if (parent.value === value) return put('(circular)');
    }
    const inside = create(null);
    inside.value = value;
    inside.next = parents;
    if (isArray(value) || isView(value)) {
      return list('[', ']', value.length, (i) => property(value, text(i), inside));
    }
    if (value instanceof Failure) return put(`[${describe(value)}]`);
    if (collection('Map', eachOfMap, value, inside) || collection('Set', eachOfSet, value, inside)) return undefined;
    const keys = ownKeys(value);
    return list('{', '}', keys.length, (i) => {
      const key = keys[i];
      if (typeof key === 'symbol') put(`[${text(key)}]`);
      else put(matches(PLAIN_KEY, key) ? key : stringify(key));
      put(': ');
      property(value, key, inside);
    });
  };

  /** What was thrown, in a line. */
  const describe = (thrown) => {
    if (typeof thrown === 'object' && thrown !== null) {
      const { name, message } = thrown;
      if (typeof name === 'string' && typeof message === 'string') return message === '' ? name : `${name}: ${message}`;
    }
    return '';
  };

  const top = (value) => (typeof value === 'string' ? put(value) : inspect(value, null));

  let printed = 0;
  const log = (...values) => {
    if (printed > limit) return;
    const line = write(() => {
      for (let i = 0; i < values.length; i++) {
        if (i > 0) put(' ');
        top(values[i]);
      }
    });
    printed += line.length + 1;
    if (wasCut) printed = limit + 1;
    print(line);
  };
  const console = { log, info: log, debug: log, warn: log, error: log };
  Object.defineProperty(globalThis, 'console', { value: console, writable: true, configurable: true });
  Math.random = random;
  // Memory of this kind is not counted.
  delete globalThis.SharedArrayBuffer;

  return {
    begin: (outputLength) => {
      limit = outputLength;
      printed = 0;
    },
    overflowed: () => printed > limit,
    cut: () => wasCut,
    show: (value) => write(() => top(value)),
    describe: (thrown) =>
      write(() => {
        const line = describe(thrown);
        if (line !== '') return put(line);
        put('thrown: ');
        return top(thrown);
      }),
  };
});
