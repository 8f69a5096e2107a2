/**
 * @file Token ids, masks and log-probabilities of whole conversations beside upstream's (tokens.json): the next prompt
 * from the tokens of the last turn, conversations merged into one sequence, and rows for the trainer.
 */
import { fitTokens, prefixBreaks, tokenSamples } from '../../src/envs';
import type { Message, Turn, TurnTokens } from '../../src/envs';
import { PiecewiseChat } from '../../src/model';
import type { ParsedReply, Piece } from '../../src/model';
import { mean } from '../../src/rl';
import { readJsonFile } from './files';
import { exempt, golden } from './golden';
import type { GoldenCase } from './golden';
import { messageOf } from './verifiers_state';
import type { UpstreamMessage } from './verifiers_state';

const FILE = 'tokens.json';
const MERGED_END = 'superseded: v0.1.9 ends a reply that was cut off before it goes on (next_prompt)';
const OTHER_CALL = 'superseded: such a call is not possible since v0.1.8, where every turn carries its own tokens';
const BREAK = 'superseded: v0.1.7 refuses a rewritten history; later versions, and ours, begin a new sample';

const END = '|'.codePointAt(0)!;

/** The fixture's toy template: `<u>hi|`, code points as ids. */
class ToyChat extends PiecewiseChat {
  readonly stopTokens = [END];

  /** @param tail what follows a message; it begins with the end token */
  constructor(
    readonly tail: string,
    readonly tools: number,
  ) {
    super({
      encode: (text) => [...text].map((character) => character.codePointAt(0)!),
      decode: (ids) => String.fromCodePoint(...ids.filter((id) => id < 0x110000)),
    });
  }

  protected begin(): Piece[] {
    return this.tools > 0 ? [`[T${this.tools}]`] : [];
  }

  protected open({ role }: Pick<Message, 'role'>): Piece[] {
    return [`<${role[0]!}>`];
  }

  protected body({ content }: Message): string {
    return content;
  }

  protected close(): Piece[] {
    return [END, this.tail.slice(1)];
  }

  protected take(text: string): ParsedReply {
    return { content: text, toolCalls: [], issues: [] };
  }
}

interface NextPrompt {
  id: string;
  tail: string;
  previous_prompt: UpstreamMessage[];
  previous_prompt_ids: number[];
  previous_completion_ids: number[];
  environment_messages: UpstreamMessage[];
  expected: { prompt_ids: number[] } | null;
}

function nextPrompt(test: NextPrompt): GoldenCase {
  const chat = new ToyChat(test.tail, 0);
  const ended = chat.stopTokens.includes(test.previous_completion_ids.at(-1) ?? -1);
  const ids = [
    ...test.previous_prompt_ids,
    ...test.previous_completion_ids,
    ...chat.renderContinuation(test.environment_messages.map(messageOf), { covered: 0, ended }),
  ];
  return golden(FILE, `next_prompt ${test.id}`, ids, test.expected?.prompt_ids);
}

interface MergedOptions {
  max_seq_len?: number;
  mask_env_responses?: boolean;
  mask_truncated_completions?: boolean;
  zero_truncated_completions?: boolean;
}

interface Merged {
  id: string;
  prompt: UpstreamMessage[] | string;
  completion: UpstreamMessage[] | string;
  responses: { text: string; token_ids: number[]; logprobs: number[]; start?: number }[];
  reward: number;
  tools?: unknown[];
  template_variant?: string;
  options: MergedOptions;
  expected?: Record<string, unknown>;
  raises?: { message: string };
}

function turnOf(tokens: TurnTokens): Turn {
  return { promptMessages: 1, finishReason: 'stop', span: { start: 0, end: 0 }, tokens };
}

/** The turns of a chat as our own model would have recorded them. */
function chatTurns({ prompt, completion, responses, tools = [] }: Merged): Turn[] {
  const chat = new ToyChat('|', tools.length);
  const turns: Turn[] = [];
  const queue = [...responses];
  let promptIds = chat.render((prompt as UpstreamMessage[]).map(messageOf));
  let since: Message[] = [];
  for (const [i, message] of (completion as UpstreamMessage[]).entries()) {
    if (message.role !== 'assistant') {
      since.push(messageOf(message));
      continue;
    }
    const last = turns.at(-1)?.tokens;
    if (last) {
      const before = [...last.promptIds, ...last.completionIds];
      const consecutive = (completion as UpstreamMessage[])[i - 1]?.role === 'assistant';
      promptIds = consecutive
        ? before
        : [...before, ...chat.renderContinuation(since, { covered: 0, ended: last.completionIds.at(-1) === END })];
    }
    const { token_ids: completionIds, logprobs } = queue.shift()!;
    turns.push(turnOf({ promptIds, completionIds, logprobs }));
    since = [];
  }
  // What the environment says last is part of the row, though nobody answers it.
  const last = turns.at(-1)?.tokens;
  if (since.length > 0 && last) {
    const ids = [
      ...last.promptIds,
      ...last.completionIds,
      ...chat.renderContinuation(since, { covered: 0, ended: true }),
    ];
    turns.push(turnOf({ promptIds: ids, completionIds: [], logprobs: [] }));
  }
  return turns;
}

/** The turns of a text that model and environment write in turns. */
function textTurns({ prompt, completion, responses }: Merged): Turn[] {
  const codes = (text: string) => [...text].map((character) => character.codePointAt(0)!);
  let ids = codes(prompt as string);
  let at = 0;
  return responses.map(({ text, token_ids: completionIds, logprobs, start = 0 }) => {
    const promptIds = [...ids, ...codes((completion as string).slice(at, start))];
    at = start + text.length;
    ids = [...promptIds, ...completionIds];
    return turnOf({ promptIds, completionIds, logprobs });
  });
}

/** One row of prompt and completion, under the options that upstream's v0.1.7 had for it. */
function rowOf(turns: readonly Turn[], { prompt, reward, options }: Merged): Record<string, unknown> {
  const [sample] = tokenSamples({ turns: [...turns], advantage: null });
  const promptLength = typeof prompt === 'string' ? [...prompt].length : turns[0]!.tokens!.promptIds.length;
  const limit = options.max_seq_len && options.max_seq_len > 0 ? options.max_seq_len : Infinity;
  const whole: TurnTokens = {
    promptIds: sample!.ids.slice(0, promptLength),
    completionIds: sample!.ids.slice(promptLength),
    logprobs: sample!.logprobs.slice(promptLength),
  };
  const { tokens, isTruncated } = fitTokens(whole, limit);
  const { promptIds, completionIds, logprobs } = tokens;
  const environmentMask = options.mask_env_responses
    ? sample!.mask.slice(promptLength)
    : whole.completionIds.map(() => 1);
  const mask = environmentMask.slice(0, completionIds.length);
  const zeroed = isTruncated && options.zero_truncated_completions;
  return {
    prompt_ids: promptIds,
    prompt_mask: promptIds.map(() => 0),
    completion_ids: completionIds,
    completion_mask: isTruncated && options.mask_truncated_completions ? mask.map(() => 0) : mask,
    completion_logprobs: logprobs,
    rewards: zeroed ? 0 : reward,
    is_truncated: zeroed ?? false,
  };
}

function merged(list: string, test: Merged, turnsOf: (test: Merged) => Turn[]): GoldenCase {
  const id = `${list} ${test.id}`;
  if (test.raises) return exempt(FILE, id, test.raises, test.template_variant ? BREAK : OTHER_CALL);
  const turns = turnsOf(test);
  const cutOff = test.responses.slice(0, -1).some(({ token_ids: ids }) => list === 'merged_chat' && ids.at(-1) !== END);
  const result = golden(FILE, id, rowOf(turns, test), test.expected);
  if (!result.ok && cutOff) return exempt(FILE, id, test.expected, MERGED_END);
  return prefixBreaks(turns) > 0 ? { ...result, ok: false, got: 'a prefix break' } : result;
}

interface Step {
  tokens: {
    prompt_ids: number[];
    completion_ids: number[];
    completion_mask: number[];
    completion_logprobs: number[];
  } | null;
  advantage: number;
}

interface Batch {
  id: string;
  trajectories: Step[][];
  reward: number[];
  metrics: Record<string, number[]>;
  micro_batch_size: number;
  num_processes: number;
  expected: {
    microbatches: unknown;
    items_per_process: number[];
    global_item_count: number;
    metrics: Record<string, number>;
  };
}

/** Steps as training rows, dealt to processes and cut into micro-batches: a row is what `tokenSamples` makes of a turn. */
function microbatches(test: Batch): GoldenCase[] {
  const rows = test.trajectories.flatMap((steps) =>
    steps.flatMap(({ tokens, advantage }) => {
      if (!tokens) return [];
      const { prompt_ids: promptIds, completion_ids: completionIds, completion_logprobs: logprobs } = tokens;
      const turns = [{ ...turnOf({ promptIds, completionIds, logprobs }), advantage }];
      const [sample] = tokenSamples({ turns, advantage: null }, { branching: true });
      return [
        {
          input_ids: sample!.ids,
          // A mask inside a completion is upstream's own: ours are made by the environment's turns.
          loss_mask: [...promptIds.map(() => 0), ...tokens.completion_mask],
          sampling_logprobs: sample!.logprobs,
          advantages: sample!.ids.map(() => advantage),
          masked: promptIds.length > 0 && sample!.mask[0] === 1,
        },
      ];
    }),
  );
  const perProcess = Math.floor(rows.length / test.num_processes);
  const items = (list: typeof rows) => list.reduce((sum, row) => sum + row.loss_mask.reduce((a, b) => a + b, 0), 0);
  const processes = Array.from({ length: test.num_processes }, (_, i) =>
    rows.slice(i * perProcess, (i + 1) * perProcess),
  );
  const batches = processes.map((own) =>
    Array.from({ length: Math.ceil(own.length / test.micro_batch_size) }, (_, i) => {
      const part = own.slice(i * test.micro_batch_size, (i + 1) * test.micro_batch_size);
      const column = <K extends keyof (typeof part)[number]>(key: K) => part.map((row) => row[key]);
      return {
        input_ids: column('input_ids'),
        loss_mask: column('loss_mask'),
        sampling_logprobs: column('sampling_logprobs'),
        advantages: column('advantages'),
        items: items(part),
      };
    }),
  );
  const { expected, id } = test;
  const noReward = test.reward.length === 0; // NaN to upstream, nothing to us
  const rewardMean = mean(test.reward);
  const spread = Math.sqrt(mean(test.reward.map((reward) => (reward - rewardMean) ** 2)));
  return [
    golden(FILE, `microbatches ${id}`, batches, expected.microbatches),
    golden(FILE, `microbatches ${id} items`, processes.map(items), expected.items_per_process),
    ...(noReward
      ? []
      : [
          golden(
            FILE,
            `microbatches ${id} reward`,
            [rewardMean, spread].map(Math.fround),
            [expected.metrics.reward, expected.metrics['reward/std']].map((value) => Math.fround(value!)),
          ),
        ]),
  ];
}

export function tokenCases(dir: string): GoldenCase[] {
  const fixture = readJsonFile(dir, FILE) as {
    next_prompt: NextPrompt[];
    merged_chat: Merged[];
    merged_text: Merged[];
    microbatches: Batch[];
  };
  return [
    ...fixture.next_prompt.map(nextPrompt),
    ...fixture.merged_chat.map((test) => merged('merged_chat', test, chatTurns)),
    ...fixture.merged_text.map((test) => merged('merged_text', test, textTurns)),
    ...fixture.microbatches.flatMap(microbatches),
  ];
}
