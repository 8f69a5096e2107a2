/** @file Players of the library's environments: one that repeats a script, and one that writes whatever comes. */
import type { ChatModel, Environment, Message, ParseIssue, ToolCall } from '../../../src/envs';
import { Random, deriveKey } from '../../../src/random';
import { ScriptedModel } from '../../scripted';

export const ROLLOUT = { draw: 0, rollout: 0, key: [0, 0] as const };

/** Says a demonstration's replies one after the other. */
export function replay(demonstration: readonly Message[]): ChatModel {
  const replies = demonstration.filter(({ role }) => role === 'assistant');
  let turn = 0;
  return new ScriptedModel(() => {
    const message = replies[turn++];
    return message ? { message } : new Error('the script is over');
  });
}

/** A demonstration of a task, without drills. */
export async function demonstrationOf(
  env: Environment,
  index: number,
  { split = 'eval', careless = 0 }: { split?: 'train' | 'eval'; careless?: number } = {},
): Promise<Message[]> {
  const example = await env.example(index, split);
  return env.demonstrate!(example, new Random(deriveKey(17, index)), { careless });
}

const HOSTILE = [
  '',
  ' ',
  '\0',
  'null',
  '{}',
  '__proto__',
  'constructor',
  '\ud800',
  '</think>',
  '\\boxed{',
  '\\boxed{}}}{{',
  '<alphabetical_sorted></alphabetical_sorted>',
  '<alphabetical_sorted>'.repeat(50),
  'search( Karbek',
  'inc( 1)(',
  '\u202e\ufeff\u200b',
  '9'.repeat(400),
];

/** Writes random text, hostile text, words it was told, and calls of tools that exist and others, well formed and not. */
export class Fuzzer {
  readonly #random: Random;
  #heard: string[] = [''];

  constructor(
    seed: number,
    private readonly env: Environment,
  ) {
    this.#random = new Random(deriveKey(seed));
  }

  model(): ChatModel {
    return new ScriptedModel(({ messages }) => {
      this.#heard = messages.at(-1)?.content.match(/[\w:]+/g) ?? [''];
      return { message: this.#message() };
    });
  }

  #message(): Message {
    const random = this.#random;
    const message: Message = { role: 'assistant', content: random.next() < 0.5 ? this.#text() : '' };
    if (random.next() < 0.4) return message;
    const toolCalls = Array.from({ length: random.between(0, 3) }, () => this.#call());
    const issues = toolCalls
      .filter(() => random.next() < 0.3)
      .map(({ id }): ParseIssue => {
        const severity = random.pick(['malformed', 'repaired'] as const);
        return { severity, message: 'fuzzed', text: '', toolCallId: id };
      });
    return { ...message, toolCalls, ...(issues.length > 0 && { issues }) };
  }

  #call(): ToolCall {
    const random = this.#random;
    const names = this.env.toolSchemas().map(({ name }) => name);
    const name = names.length > 0 && random.next() < 0.7 ? random.pick(names) : this.#text();
    const args = random.pick([
      this.#text(),
      JSON.stringify({ [random.pick(['name', 'x', 'query', 'page_id', 'section_id', 'code', 'zz'])]: this.#value() }),
      '[]',
      '{"x": 1e999}',
    ]);
    return { id: `call_${random.below(3)}`, name, arguments: args };
  }

  #value(): unknown {
    const random = this.#random;
    return random.pick<unknown>([this.#text(), random.normal() * 1000, random.below(9), true, null, [1], { a: {} }]);
  }

  #text(): string {
    const random = this.#random;
    if (random.next() < 0.3) return random.pick(HOSTILE);
    if (random.next() < 0.4) return random.pick(this.#heard);
    const largest = random.pick([0x7f, 0xd7ff]);
    return Array.from({ length: random.below(40) }, () => String.fromCodePoint(random.below(largest))).join('');
  }
}
