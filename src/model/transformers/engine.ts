/** @file What is used of transformers.js, in our own words: its declarations do not compile everywhere, and stay out of ours. */

interface FromPretrained<T> {
  from_pretrained(source: string, options: object): Promise<T>;
}

export interface EngineModel {
  generate(options: object): Promise<unknown>;
  /** One step of it: the next token's logits. */
  forward(inputs: object): Promise<unknown>;
  dispose(): Promise<unknown>;
  /** generation_config.json, if there is one. */
  readonly generation_config: object | null;
  readonly sessions: Readonly<Record<string, { inputNames: readonly string[] }>>;
}

export interface EngineTokenizer {
  apply_chat_template(messages: readonly unknown[], options: object): unknown;
  decode(ids: number[], options: object): string;
  /** A Jinja template, or several by name. */
  readonly chat_template?: unknown;
  readonly eos_token_id?: unknown;
  readonly all_special_tokens?: string[];
}

export interface Engine {
  AutoConfig: FromPretrained<{ max_position_embeddings?: unknown }>;
  AutoModelForCausalLM: FromPretrained<EngineModel>;
  AutoTokenizer: FromPretrained<EngineTokenizer>;
  InterruptableStoppingCriteria: new () => { interrupt(): void };
  LogitsProcessor: new () => { _call<T extends { data: unknown }>(ids: unknown, logits: T): T };
  LogitsProcessorList: new () => { push(processor: object): void };
  Tensor: new (type: 'int64', data: BigInt64Array, shape: readonly number[]) => object;
  env: {
    allowLocalModels: boolean;
    allowRemoteModels: boolean;
    cacheDir: string | null;
    backends: { onnx: { wasm?: { wasmPaths?: unknown } } };
  };
}
