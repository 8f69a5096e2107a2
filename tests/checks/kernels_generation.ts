/** @file The kernels of generation: the paged cache, attention over it, sampling, and the bookkeeping between steps. */
import {
  ENTRY_WORDS,
  NO_TOKEN,
  PAGE,
  RESULT_WORDS,
  STATE_WORDS,
  advance,
  copyPages,
  normStride,
  packSettings,
  pagedAttention,
  rope,
  ropeTable,
  sample,
} from '../../src/kernels';
import type { Gpu, SlotSettings } from '../../src/kernels';
import { convert, unpack } from '../../src/model';
import { Random, deriveKey, uniform } from '../../src/random';
import { frequencyCases, logprobTolerance } from './frequencies';
import { Bench, noise } from './harness';
import * as reference from './reference';
import type { Filters } from './reference';
import { relativeError } from './report';
import type { Check, CheckCase } from './report';

const FORWARD = 1e-5;

/** Of keys and values that were rounded to 11 bits. */
const HALF = 1e-3;

/** Grouped and not, odd sizes, and heads of more than the 64 dimensions that one pass of the lanes covers. */
const HEADS = [
  { qHeads: 3, kvHeads: 3, headDim: 12 },
  { qHeads: 6, kvHeads: 1, headDim: 6 },
  { qHeads: 4, kvHeads: 2, headDim: 64 },
  { qHeads: 2, kvHeads: 1, headDim: 66 },
  { qHeads: 2, kvHeads: 1, headDim: 80 },
  { qHeads: 4, kvHeads: 2, headDim: 128 },
];

/** What tensors hold where no kernel may write. */
const UNTOUCHED = -7;

const pagedCheck: Check = {
  name: 'paged attention, and rope into the cache',
  async run(gpu) {
    const cases: CheckCase[] = [];
    for (const heads of HEADS) {
      // Contexts of 112 tokens and of 304: for each there is another kernel.
      for (const pagesPerSlot of [7, 19]) {
        for (const normed of [false, true]) cases.push(...(await checkPaged(gpu, heads, normed, pagesPerSlot, 'f32')));
        cases.push(...(await checkPaged(gpu, heads, true, pagesPerSlot, 'f16')));
      }
    }
    return cases;
  },
};

async function checkPaged(
  gpu: Gpu,
  heads: reference.AttentionShape,
  normed: boolean,
  pagesPerSlot: number,
  dtype: 'f32' | 'f16',
): Promise<CheckCase[]> {
  const { qHeads, kvHeads, headDim } = heads;
  const lengths = [1, 20, 0, 100, 64]; // of each slot
  const [slots, pages] = [lengths.length, 5 * pagesPerSlot + 5];
  const random = new Random(deriveKey(headDim));
  const pageTable = random.sample(
    Array.from({ length: pages }, (_, i) => i),
    slots * pagesPerSlot,
  );
  // Rows in any order; the last two do not count.
  const places = lengths.flatMap((length, slot) => Array.from({ length }, (_, position) => ({ slot, position })));
  const tokens = places.length;
  const order = random.shuffle(places.map((_, token) => token));
  const rows = tokens + 2;
  const stored = (qHeads + 2 * kvHeads) * headDim;
  const qWidth = qHeads * headDim;
  const kvWidth = kvHeads * headDim;
  const qkv = noise(tokens * stored, 70, headDim);
  const [q, k] = [noise(headDim, 71, headDim), noise(headDim, 72, headDim)];
  const stride = normStride(headDim);
  const norms = new Float64Array(2 * stride);
  norms.set(q, 0);
  norms.set(k, stride);
  const eps = 1e-3;

  const bench = new Bench(gpu, 'paged');
  const pageElements = 2 * PAGE * kvWidth;
  const before = new Float32Array(pages * pageElements).fill(UNTOUCHED);
  const initial = convert(new Uint8Array(before.buffer), 'F32', dtype);
  const paged = {
    cache: bench.packed(
      'cache',
      dtype === 'f32' ? before : new Uint32Array(initial.buffer),
      [pages, pageElements],
      dtype,
    ),
    pageTable: bench.ids('page table', pageTable, [slots, pagesPerSlot]),
    rowPlace: bench.ids(
      'row place',
      [...order, 0, 0].flatMap((token) => [places[token]!.slot, places[token]!.position]),
      [rows, 2],
    ),
    live: bench.live(tokens),
    pagesPerSlot,
  };
  const packed = [...order, 0, 0].flatMap((token) => [...qkv.slice(token * stored, (token + 1) * stored)]);
  const rotated = bench.input('q', new Float32Array(rows * qWidth).fill(UNTOUCHED), [rows, qWidth]);
  rope(bench.record, {
    qkv: bench.input('qkv', packed, [rows, stored]),
    qk: rotated,
    table: bench.input('table', ropeTable(100, headDim, 1000)),
    norms: normed ? bench.input('norms', norms) : undefined,
    paged,
    rows,
    eps,
    ...heads,
  });
  const out = bench.input('out', new Float32Array(rows * qWidth).fill(UNTOUCHED), [rows, qWidth]);
  pagedAttention(bench.record, { q: rotated, out, rows, ...paged, ...heads });
  const [stored32, qs, attended] = await bench.run('cache', 'q', 'out');
  const cache = unpack(new Uint8Array(stored32!.buffer as ArrayBuffer), dtype, pages * pageElements);

  const positions = places.map(({ position }) => position);
  const qk = reference.rope(qkv, positions, heads, 1000, normed ? { q, k, eps } : undefined);
  const expectedCache = new Float64Array(pages * pageElements).fill(UNTOUCHED);
  places.forEach(({ slot, position }, token) => {
    const page = pageTable[slot * pagesPerSlot + Math.floor(position / PAGE)]!;
    const keyAt = (page * 2 * PAGE + (position % PAGE)) * kvWidth;
    const keyFrom = token * (qHeads + kvHeads) * headDim + qWidth;
    const valueFrom = token * stored + qWidth + kvWidth;
    expectedCache.set(qk.slice(keyFrom, keyFrom + kvWidth), keyAt);
    expectedCache.set(qkv.slice(valueFrom, valueFrom + kvWidth), keyAt + PAGE * kvWidth);
  });
  const inOrder = (values: Float64Array, width: number, at: number) =>
    order.flatMap((token) => [...values.slice(token * at, token * at + width)]);
  const untouched = new Array<number>(2 * qWidth).fill(UNTOUCHED);
  const expectedOut = reference.attention(qk, qkv, lengths, heads);
  const name = `${qHeads}/${kvHeads} heads of ${headDim}${normed ? ', normed' : ''}, ${pagesPerSlot} pages, ${dtype}`;
  const compare = (what: string, ours: Float32Array, expected: ArrayLike<number>): CheckCase => ({
    name: `${name}: ${what}`,
    error: relativeError(ours, expected),
    tolerance: dtype === 'f16' ? HALF : FORWARD,
  });
  return [
    compare('cache', cache, expectedCache),
    compare('q', qs!, [...inOrder(qk, qWidth, (qHeads + kvHeads) * headDim), ...untouched]),
    compare('attention', attended!, [...inOrder(expectedOut, qWidth, qWidth), ...untouched]),
  ];
}

const copyPagesCheck: Check = {
  name: 'copies of pages',
  async run(gpu) {
    const cases: CheckCase[] = [];
    for (const pageElements of [50, 2 * PAGE * 128]) {
      const pages = 9;
      const cache = noise(pages * pageElements, 73, pageElements);
      const pairs = [
        [3, 7],
        [0, 2],
        [3, 5],
        [8, 1], // past the count
      ];
      const count = 3;
      const bench = new Bench(gpu);
      const tensor = bench.input('cache', cache, [pages, pageElements]);
      copyPages(bench.record, { pairs: bench.ids('pairs', pairs.flat()), cache: tensor, count, pageElements });
      const [copied] = await bench.run('cache');
      const expected = Float64Array.from(cache);
      for (const [from, to] of pairs.slice(0, count)) {
        expected.set(cache.slice(from! * pageElements, (from! + 1) * pageElements), to! * pageElements);
      }
      cases.push({ name: `pages of ${pageElements}`, error: relativeError(copied!, expected), tolerance: 0 });
    }
    return cases;
  },
};

const advanceCheck: Check = {
  name: 'rows of the next decode step',
  async run(gpu) {
    const cases: CheckCase[] = [];
    for (const slots of [1, 5, 256, 300, 1000]) {
      const random = new Random(deriveKey(74, slots));
      const states = Array.from({ length: slots }, (_, slot) => ({
        token: random.below(1000),
        position: random.below(5000),
        running: slots === 1 || random.next() < 0.6 ? 1 : 0,
        slot,
      }));
      const running = states.filter((state) => state.running);
      const bench = new Bench(gpu, 'advance');
      const words = (label: string, width: number) =>
        bench.ids(label, new Uint32Array(slots * width).fill(77), [slots, width]);
      advance(bench.record, {
        state: bench.ids(
          'state',
          states.flatMap(({ token, position, running: flag }) => [token, position, flag]),
        ),
        ids: words('ids', 1),
        rowPlace: words('row place', 2),
        entries: words('entries', ENTRY_WORDS),
        live: bench.live(0),
        control: bench.ids('control', [3, 1000]),
        slots,
      });
      const results = await bench.run('ids', 'row place', 'entries', 'live', 'control');
      const expected = [
        running.map(({ token }) => token),
        running.flatMap(({ slot, position }) => [slot, position]),
        running.flatMap(({ slot, position }, row) => [row, slot, position]),
        [running.length],
        [4, 1000 + running.length],
      ];
      const wrong = results.map((values, i) => {
        const ours = new Uint32Array(values.buffer);
        return ours.filter((word, at) => word !== (expected[i]![at] ?? 77)).length;
      });
      cases.push({ name: `${slots} slots: wrong words`, error: wrong.reduce((a, b) => a + b), tolerance: 0 });
    }
    return cases;
  },
};

interface Draws {
  tokens: Uint32Array;
  logprobs: Float32Array;
  state: Uint32Array;
}

/** How one draw is made: by default unrestricted, from the first row of the logits. */
interface Draw extends Partial<SlotSettings> {
  row?: number;
  /** Of the token whose logits they are. */
  position?: number;
}

/** Draws one token per entry; every entry has a slot of its own. */
async function draw(
  gpu: Gpu,
  logits: ArrayLike<number>,
  vocabulary: number,
  draws: readonly Draw[],
  { live, step = 0 }: { live?: number; step?: number } = {},
): Promise<Draws> {
  const slots = draws.length;
  const bench = new Bench(gpu, 'sample');
  const settings = draws.flatMap((each) => {
    const off: SlotSettings = {
      key: [0, 0],
      temperature: 1,
      topK: 0,
      topP: 1,
      minP: 0,
      stopTokens: [],
      lastPosition: 2 ** 31,
    };
    return [...packSettings({ ...off, ...each })];
  });
  sample(bench.record, {
    logits: bench.input('logits', logits),
    // Slots in another order than entries.
    entries: bench.ids(
      'entries',
      draws.flatMap((_, i) => {
        const slot = slots - 1 - i;
        return [draws[slot]!.row ?? 0, slot, draws[slot]!.position ?? 0];
      }),
      [slots, ENTRY_WORDS],
    ),
    live: bench.live(live),
    settings: bench.ids('settings', settings),
    state: bench.ids('state', new Uint32Array(slots * STATE_WORDS).fill(77)),
    results: bench.ids('results', new Uint32Array((step + 1) * slots * RESULT_WORDS).fill(77)),
    control: bench.ids('control', [step, 0]),
    count: slots,
    vocabulary,
    slots,
  });
  const [results, state] = await bench.run('results', 'state');
  const words = new Uint32Array(results!.buffer).subarray(step * slots * RESULT_WORDS);
  const floats = results!.subarray(step * slots * RESULT_WORDS);
  return {
    tokens: words.filter((_, i) => i % 2 === 0),
    logprobs: floats.filter((_, i) => i % 2 === 1),
    state: new Uint32Array(state!.buffer),
  };
}

/**
 * Equal logits: the token is the uniform number times the vocabulary, exactly, since sums of ones do not round. Ties
 * random.wgsl to src/random, and the counter to the position of the new token.
 */
const uniformCheck: Check = {
  name: 'sampling: the token is that of the uniform number at its key and position',
  async run(gpu) {
    const cases: CheckCase[] = [];
    // One token per lane; several; 256 lanes.
    for (const [vocabulary, count] of [
      [64, 3000],
      [256, 1000],
      [2048, 300],
    ] as const) {
      const random = new Random(deriveKey(75, vocabulary));
      const draws = Array.from({ length: count }, (_, i) => ({
        key: deriveKey(i, vocabulary),
        position: i === 0 ? 0 : i === 1 ? 2 ** 32 - 2 : random.below(2 ** (1 + (i % 31))),
      }));
      const { tokens, logprobs } = await draw(gpu, new Float32Array(vocabulary), vocabulary, draws);
      const wrong = draws.filter(
        ({ key, position }, i) => tokens[i] !== Math.floor(uniform(key, position + 1) * vocabulary),
      ).length;
      cases.push({ name: `vocabulary of ${vocabulary}: tokens that are others`, error: wrong, tolerance: 0 });
      const worst = Math.max(...logprobs.map((value) => Math.abs(value + Math.log(vocabulary))));
      cases.push({ name: `vocabulary of ${vocabulary}: log-probability`, error: worst, tolerance: 1e-5 });
    }
    return cases;
  },
};

/** The top-p that keeps exactly `count` tokens of what top-k leaves: halfway between two cumulative sums. */
function keepingExactly(count: number, logits: ArrayLike<number>, filters: Filters): number {
  const p = reference.filteredProbabilities(logits, filters).sort((a, b) => b - a);
  const mass = p.slice(0, count).reduce((a, b) => a + b, 0);
  return mass - p[count - 1]! / 2;
}

const filtersCheck: Check = {
  name: 'sampling: top-k, top-p and min-p over vocabularies of many pieces, with ties',
  async run(gpu) {
    const cases: CheckCase[] = [];
    for (const [vocabulary, count] of [
      [200, 300],
      [1500, 100],
    ] as const) {
      // Multiples of 1/4 from -3 up, few at the top: many tokens share each value, spread over all lanes.
      const logits = Float32Array.from(noise(vocabulary, 76, vocabulary), (v) => Math.round(4 * v) / 4);
      const plain: Filters = { temperature: 1, topK: 0, topP: 1, minP: 0 };
      const sharp: Filters = { ...plain, temperature: 0.25 };
      const first20: Filters = { ...plain, topK: 20 };
      const withTopP = (filters: Filters, kept: number): Filters => ({
        ...filters,
        topP: keepingExactly(kept, logits, filters),
      });
      const all: [string, Filters][] = [
        ['off', sharp],
        ['greedy, of equals the first', { ...plain, temperature: 0, topK: 9, topP: 0.5 }],
        ['top-k 1', { ...plain, topK: 1 }],
        ['top-k 7', { ...plain, topK: 7 }],
        ['top-k 31', { ...plain, topK: 31 }],
        ['top-k of all but one', { ...sharp, topK: vocabulary - 1 }],
        ['top-k beyond the vocabulary', { ...sharp, topK: vocabulary + 5 }],
        ['top-p of one token', { ...plain, topP: 1e-6 }],
        ['top-p of 6 tokens', withTopP(plain, 6)],
        ['top-p of 40 tokens', withTopP({ ...plain, temperature: 0.7 }, 40)],
        ['top-p of 11 of the top 20', withTopP(first20, 11)],
        // exp(-0.875 / 0.5) lies between two of the values.
        ['min-p', { ...plain, temperature: 0.5, minP: Math.exp(-0.875 / 0.5) }],
        ['min-p 1', { ...plain, minP: 1 }],
        ['all three', { ...withTopP({ ...plain, topK: 30 }, 23), minP: Math.exp(-0.375) }],
      ];
      const draws = all.flatMap(([, filters], i) =>
        Array.from({ length: count }, (_, n) => ({ ...filters, key: deriveKey(77, i, n), position: n })),
      );
      const { tokens, logprobs } = await draw(gpu, logits, vocabulary, draws);
      all.forEach(([what, filters], i) => {
        const name = `vocabulary of ${vocabulary}, ${what}`;
        const expected = reference.filteredProbabilities(logits, filters);
        const counts = new Array<number>(vocabulary).fill(0);
        const scaled = logits.map((z) => z / (filters.temperature || 1));
        const before = reference.softmax(scaled).map(Math.log);
        let worst = 0;
        for (let n = i * count; n < (i + 1) * count; n++) {
          const token = tokens[n]!;
          if (token >= vocabulary) {
            cases.push({ name: `${name}: token ${token}`, error: NaN, tolerance: 0 });
            return;
          }
          counts[token]!++;
          worst = Math.max(worst, Math.abs(logprobs[n]! - before[token]!));
        }
        cases.push(...frequencyCases(name, counts, expected));
        cases.push({ name: `${name}: log-probability`, error: worst, tolerance: logprobTolerance(scaled) });
      });
    }
    return cases;
  },
};

const movesOnCheck: Check = {
  name: 'sampling: moves its sequence on, stops it, and does not draw from what is not finite',
  async run(gpu) {
    const vocabulary = 70;
    // Rows of logits: token 5 certain; NaN; infinity; nothing possible.
    const rows = [0, NaN, Infinity, -Infinity].map((strange) => {
      const row = new Array<number>(vocabulary).fill(strange === -Infinity ? strange : 0);
      row[strange === 0 ? 5 : 66] = strange === 0 ? 50 : strange;
      return row;
    });
    const position = 8;
    const stopping = [1, 2, 3, 5].map((_, i, list) => ({
      position,
      stopTokens: [...list.slice(i), ...list.slice(0, i)],
    }));
    const draws: Draw[] = [
      { position },
      ...stopping,
      { position, stopTokens: [1, 2, 3, 4] },
      { position, lastPosition: position + 1 },
      { position, lastPosition: position + 2 },
      { position, row: 1 },
      { position, row: 2 },
      { position, row: 3 },
      { position, row: 1, temperature: 0 },
      { position, topK: 3, topP: 0.9, minP: 0.1, row: 1 },
    ];
    const step = 2;
    const { tokens, state } = await draw(gpu, rows.flat(), vocabulary, draws, { step });
    const cases: CheckCase[] = draws.map(({ row = 0, stopTokens = [], lastPosition = Infinity }, slot) => {
      const token = row === 0 ? 5 : NO_TOKEN;
      const running = Number(row === 0 && !stopTokens.includes(5) && position + 1 < lastPosition);
      const ours = [tokens[slot], state[slot * STATE_WORDS + 1], state[slot * STATE_WORDS + 2]];
      const wrong = [token, position + 1, running].filter((word, i) => word !== ours[i]).length;
      // The next input of a sequence that goes on is its token.
      const next = running && state[slot * STATE_WORDS] !== token ? 1 : 0;
      return { name: `slot ${slot}: wrong words`, error: wrong + next, tolerance: 0 };
    });
    const some = await draw(gpu, rows.flat(), vocabulary, draws, { live: 3 });
    const left = draws.length - 3; // entries run through the slots from the last
    const touched = some.tokens.subarray(0, left).filter((word) => word !== 77).length;
    const skipped = some.tokens.subarray(left).filter((word) => word === 77).length;
    cases.push({ name: 'entries past the live count', error: touched + skipped, tolerance: 0 });
    return cases;
  },
};

export const generationKernelChecks: Check[] = [
  pagedCheck,
  copyPagesCheck,
  advanceCheck,
  uniformCheck,
  filtersCheck,
  movesOnCheck,
];
