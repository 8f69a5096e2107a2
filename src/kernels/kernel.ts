/**
 * @file A kernel is its WGSL: bindings and parameters are read from the source, so the two cannot disagree.
 *
 * Conventions of a .wgsl file in this folder:
 * - binding 0 is `var<uniform> params: Params`, a struct of u32, i32 and f32 scalars;
 * - every other binding is a storage array, named as callers name it;
 * - constants in CAPITALS that the file does not declare are given by the caller and prepended as `const`s;
 * - `#if NAME`, `#else`, `#endif` on lines of their own choose text by a constant that is 0 or not;
 * - `enable` directives may stand wherever their kernel begins: they are moved to the top.
 */

export type BindingKind = 'uniform' | 'read-only-storage' | 'storage';

export interface Binding {
  name: string;
  binding: number;
  kind: BindingKind;
}

export interface ParamField {
  name: string;
  type: 'u32' | 'i32' | 'f32';
  /** Byte offset in the uniform struct. */
  offset: number;
}

export interface Kernel {
  name: string;
  source: string;
}

export interface SpecializedKernel {
  code: string;
  bindings: Binding[];
  params: ParamField[];
}

/**
 * Declares a kernel.
 * @param name unique; shown in messages and profiles
 * @param sources WGSL texts, joined in order (shared helper functions first)
 */
export function kernel(name: string, ...sources: string[]): Kernel {
  return { name, source: sources.join('\n') };
}

/** Lines that `specialize` puts before a kernel's own: the constants, all on one. */
export const HEADER_LINES = 1;

/** Kernels with constants that were asked for before: recording a program asks for each many times. */
const specialized = new WeakMap<Kernel, Map<string, SpecializedKernel>>();

/** Resolves constants and conditionals, and reads bindings and parameters from what is left. */
export function specialize(kernel: Kernel, constants: Readonly<Record<string, number>>): SpecializedKernel {
  let known = specialized.get(kernel);
  if (!known) specialized.set(kernel, (known = new Map<string, SpecializedKernel>()));
  const key = JSON.stringify(constants);
  let result = known.get(key);
  if (!result) known.set(key, (result = resolve(kernel, constants)));
  return result;
}

function resolve(kernel: Kernel, constants: Readonly<Record<string, number>>): SpecializedKernel {
  const header = Object.entries(constants).map(([name, value]) => {
    if (!Number.isInteger(value) || value < 0) throw new Error(`kernel ${kernel.name}: ${name} must be a whole number`);
    return `const ${name} = ${value}u;`;
  });
  const enabled: string[] = [];
  const body = choose(kernel, constants).replaceAll(/^enable [^;]*;/gm, (directive) => {
    enabled.push(directive);
    return '';
  });
  const code = `${[...enabled, ...header].join(' ')}\n${body}`;
  const bare = code.replaceAll(/\/\/[^\n]*/g, '');
  const bindings: Binding[] = [];
  for (const match of bare.matchAll(/@group\(0\)\s*@binding\((\d+)\)\s*var<([^>]+)>\s*(\w+)/g)) {
    const access = match[2]!.replaceAll(/\s/g, '');
    const kind = access === 'uniform' ? 'uniform' : access === 'storage,read' ? 'read-only-storage' : 'storage';
    bindings.push({ name: match[3]!, binding: Number(match[1]), kind });
  }
  const struct = /struct Params\s*\{([^}]*)\}/.exec(bare);
  const params: ParamField[] = [];
  for (const match of (struct?.[1] ?? '').matchAll(/(\w+)\s*:\s*(\w+)/g)) {
    params.push({ name: match[1]!, type: match[2] as ParamField['type'], offset: params.length * 4 });
  }
  return { code, bindings, params };
}

function choose(kernel: Kernel, constants: Readonly<Record<string, number>>): string {
  const kept: string[] = [];
  const open: boolean[] = [];
  for (const line of kernel.source.split('\n')) {
    const directive = /^\s*#(if|else|endif)\b\s*(\w*)/.exec(line);
    if (!directive) {
      kept.push(open.every(Boolean) ? line : ''); // blank lines keep the compiler's line numbers true
    } else {
      kept.push('');
      if (directive[1] === 'if') {
        const value = constants[directive[2]!];
        if (value === undefined) throw new Error(`kernel ${kernel.name}: constant ${directive[2]} was not given`);
        open.push(value !== 0);
      } else if (directive[1] === 'else') open.push(!open.pop());
      else open.pop();
    }
  }
  if (open.length) throw new Error(`kernel ${kernel.name}: #if without #endif`);
  return kept.join('\n');
}
