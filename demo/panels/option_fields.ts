/** @file An environment's options as the fields of a form. */
import { z } from 'zod';

export interface OptionField {
  name: string;
  /** `json`: whatever has no field of its own, written as JSON. */
  kind: 'choice' | 'whole' | 'number' | 'switch' | 'text' | 'json';
  description: string;
  /** What stands in the field at first. */
  initial: string | boolean;
  choices: readonly string[];
  min?: number;
  max?: number;
}

interface JsonSchema {
  type?: string;
  enum?: unknown[];
  const?: unknown;
  anyOf?: JsonSchema[];
  description?: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  properties?: Record<string, JsonSchema>;
}

/** The fields for a schema, in its order. */
export function optionFields(schema: z.ZodObject): OptionField[] {
  const { properties = {} } = z.toJSONSchema(schema, { io: 'input' }) as JsonSchema;
  return Object.entries(properties).map(([name, property]) => fieldOf(name, property));
}

function fieldOf(name: string, schema: JsonSchema): OptionField {
  const kind = kindOf(schema);
  const { description = '', default: initial, minimum, maximum } = schema;
  const bounds = { ...(isBound(minimum) && { min: minimum }), ...(isBound(maximum) && { max: maximum }) };
  return {
    name,
    kind,
    description,
    initial: kind === 'switch' ? initial === true : textOf(initial),
    choices: (schema.enum ?? []).map(String),
    ...bounds,
  };
}

/** Text as it is, anything else as JSON; '' where there is no default. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

function kindOf({ type, enum: choices, anyOf }: JsonSchema): OptionField['kind'] {
  if (choices) return 'choice';
  if (type === 'integer') return 'whole';
  if (type === 'number') return 'number';
  if (type === 'boolean') return 'switch';
  if (type === 'string' || anyOf?.every((one) => one.type === 'string')) return 'text';
  return 'json';
}

/** zod bounds whole numbers by what a double can hold, which is no news. */
function isBound(value: number | undefined): value is number {
  return value !== undefined && Math.abs(value) < Number.MAX_SAFE_INTEGER;
}

/**
 * The options that the fields hold, those left as they were not among them.
 * @throws SyntaxError naming a field whose JSON cannot be read
 */
export function readOptions(
  fields: readonly OptionField[],
  values: Readonly<Record<string, string | boolean>>,
): Record<string, unknown> {
  const changed = fields.filter(({ name, initial }) => (values[name] ?? initial) !== initial);
  return Object.fromEntries(changed.map((field) => [field.name, readValue(field, values[field.name]!)]));
}

function readValue({ name, kind }: OptionField, value: string | boolean): unknown {
  if (typeof value === 'boolean') return value;
  // An empty field is no number: the schema says so, as it does of text.
  if (kind === 'whole' || kind === 'number') return value.trim() === '' ? value : Number(value);
  if (kind !== 'json') return value;
  try {
    return JSON.parse(value) as unknown;
  } catch (error) {
    throw new SyntaxError(`option ${name}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
