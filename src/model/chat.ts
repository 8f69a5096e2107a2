/**
 * @file The chat format of our small models: how a conversation becomes tokens.
 *
 *     <bos><|user|>krvam<|assistant|>mavrk<eos><|tool|>...<|assistant|>
 *
 * A message is its role's token and its text; assistant messages end with <eos>; <|assistant|> at the end asks for a
 * reply. Special tokens are ids, never text, so no message can forge one.
 */
import type { Message, Role } from '../envs';
import type { CharTokenizer, SpecialToken } from './tokenizer';

/** The same format as a Jinja template, for other engines. */
export const CHAT_TEMPLATE =
  "{{ '<bos>' }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}" +
  "{% if message['role'] == 'assistant' %}{{ '<eos>' }}{% endif %}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

export class CharChat {
  constructor(readonly tokenizer: CharTokenizer) {}

  /** Tokens that end a reply. */
  get stopTokens(): readonly number[] {
    return [this.tokenizer.id('<eos>')];
  }

  /** A whole conversation, asking for a reply. */
  render(messages: readonly Message[]): number[] {
    return [this.tokenizer.id('<bos>'), ...this.#messages(messages), this.tokenizer.id('<|assistant|>')];
  }

  /**
   * What follows a reply that the model sampled: the messages since, asking for the next reply.
   * @param ended false when the reply was cut off before its <eos>
   */
  renderContinuation(messages: readonly Message[], ended: boolean): number[] {
    const { tokenizer } = this;
    return [...(ended ? [] : [tokenizer.id('<eos>')]), ...this.#messages(messages), tokenizer.id('<|assistant|>')];
  }

  /** The message that sampled tokens spell. */
  parse(ids: readonly number[]): Message {
    return { role: 'assistant', content: this.tokenizer.decode(ids) };
  }

  /** A conversation for supervised training: ids, and 1 where an assistant's token (or its <eos>) is learned. */
  renderForTraining(messages: readonly Message[]): { ids: number[]; mask: number[] } {
    const ids = [this.tokenizer.id('<bos>')];
    const mask = [0];
    for (const message of messages) {
      const learned = message.role === 'assistant' ? 1 : 0;
      const [role, ...text] = this.#messages([message]);
      ids.push(role!, ...text);
      mask.push(0, ...text.map(() => learned));
    }
    return { ids, mask };
  }

  #messages(messages: readonly Message[]): number[] {
    return messages.flatMap(({ role, content }) => {
      const ids = [this.tokenizer.id(roleToken(role)), ...this.tokenizer.encode(content)];
      return role === 'assistant' ? [...ids, this.tokenizer.id('<eos>')] : ids;
    });
  }
}

function roleToken(role: Role): SpecialToken {
  return `<|${role}|>`;
}
