/**
 * @file A tool is a plain async function with a schema of its arguments: a zod object, anything else that speaks Standard
 * Schema and Standard JSON Schema, or JSON Schema itself.
 *
 *     const add = tool({
 *       name: 'add',
 *       description: 'Add two numbers.',
 *       parameters: z.object({ x: z.number(), y: z.number() }),
 *       run: ({ x, y }) => x + y,
 *     });
 */
import { z } from 'zod';
import type { State } from './state';
import { strictParameters } from './tool_schema';
import type { JsonSchema } from './tool_schema';
import type { ToolSchema } from './types';

/** What a tool may look at besides its arguments. */
export interface ToolContext {
  state: State;
  /** Aborts when the rollout is cancelled or the tool is out of time. */
  signal: AbortSignal;
}

/** Standard Schema (standardschema.dev) with its JSON Schema extension, as far as it is used here. */
export interface StandardSchema<Output = unknown> {
  '~standard': {
    version: 1;
    vendor: string;
    validate(value: unknown): StandardResult<Output> | Promise<StandardResult<Output>>;
    jsonSchema?: { input(options: { target: string }): Record<string, unknown> };
    types?: { output: Output } | undefined;
  };
}

type StandardResult<Output> =
  | { value: Output; issues?: undefined }
  | { issues: readonly { message: string; path?: readonly (PropertyKey | { key: PropertyKey })[] | undefined }[] };

export interface Tool {
  name: string;
  description: string;
  /** As the model sees it. */
  schema: ToolSchema;
  /** @throws ToolArgumentsError naming each argument that is wrong */
  check(args: Record<string, unknown>): Promise<Record<string, unknown>>;
  run(args: Record<string, unknown>, context: ToolContext): unknown;
}

export interface ToolDefinition<Args> {
  name: string;
  description?: string;
  parameters: StandardSchema<Args> | JsonSchema;
  run: (args: Args, context: ToolContext) => unknown;
}

/** Arguments that are not JSON, no object, or do not fit the tool's schema. */
export class ToolArgumentsError extends Error {
  override name = 'ToolArgumentsError';
}

/** A call of a tool that the environment does not have. */
export class UnknownToolError extends Error {
  override name = 'UnknownToolError';
  constructor(
    readonly tool: string,
    known: readonly string[],
  ) {
    super(`there is no tool ${JSON.stringify(tool)}; the tools are ${known.join(', ') || 'none'}`);
  }
}

/** A call that the model's text meant and the chat format could not read. */
export class MalformedToolCallError extends Error {
  override name = 'MalformedToolCallError';
}

const NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/;

/**
 * Declares a tool.
 * @throws TypeError for a name or schema that no model could be told
 */
export function tool<Args = Record<string, unknown>>({
  name,
  description = '',
  parameters,
  run,
}: ToolDefinition<Args>): Tool {
  if (!NAME.test(name)) {
    throw new TypeError(`tool name ${JSON.stringify(name)}: letters, digits, _ and - only, at most 64 of them`);
  }
  const standard = isStandardSchema(parameters) ? parameters : undefined;
  const json = standard ? jsonSchemaOf(name, standard) : (parameters as JsonSchema);
  const validate = standard ?? z.fromJSONSchema(json);
  return {
    name,
    description,
    schema: { name, description, parameters: strictParameters(name, json) },
    check: async (args) => {
      const result = await validate['~standard'].validate(args);
      if (!result.issues) return result.value as Record<string, unknown>;
      throw new ToolArgumentsError(result.issues.map(describeIssue).join('; '));
    },
    run: (args, context) => run(args as Args, context),
  };
}

/**
 * Reads the arguments of a call.
 * @param text JSON of an object
 * @throws ToolArgumentsError
 */
export function parseToolArguments(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ToolArgumentsError(`the arguments are not JSON: ${(error as SyntaxError).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ToolArgumentsError('the arguments are not a JSON object');
  }
  return value as Record<string, unknown>;
}

type Issue = NonNullable<StandardResult<unknown>['issues']>[number];

function describeIssue({ message, path = [] }: Issue): string {
  const keys = path.map((part) => String(typeof part === 'object' ? part.key : part));
  return keys.length > 0 ? `${keys.join('.')}: ${message}` : message;
}

function isStandardSchema(value: object): value is StandardSchema<never> {
  return '~standard' in value;
}

function jsonSchemaOf(name: string, schema: StandardSchema): JsonSchema {
  const { jsonSchema, vendor } = schema['~standard'];
  if (!jsonSchema) {
    throw new TypeError(
      `tool ${name}: schemas of ${vendor} do not say themselves as JSON Schema; give the tool a JSON Schema instead`,
    );
  }
  return jsonSchema.input({ target: 'draft-2020-12' });
}
