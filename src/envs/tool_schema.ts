/**
 * @file The strict form of a tool's JSON Schema that models are shown: every argument is required (a default is only
 * said), nothing else is allowed, every property has a title. It is what OpenAI's strict function calling asks for and
 * what verifiers sends (openai-agents' `ensure_strict_json_schema`).
 */

export type JsonSchema = Record<string, unknown>;

/**
 * @param name the tool's; the arguments object is titled `<name>_args`
 * @throws TypeError for an object whose keys are not fixed
 */
export function strictParameters(name: string, schema: JsonSchema): JsonSchema {
  const { properties = {}, ...others } = schema;
  delete others.$schema;
  const titled = Object.fromEntries(
    Object.entries(properties as Record<string, JsonSchema>).map(([key, value]) => [
      key,
      { title: titleOf(key), ...value },
    ]),
  );
  return strict(name, [], { ...others, properties: titled, type: 'object', title: `${name}_args` });
}

/** `page_id` -> `Page Id` */
function titleOf(key: string): string {
  return key
    .split('_')
    .filter(Boolean)
    .map((part) => part[0]!.toUpperCase() + part.slice(1).toLowerCase())
    .join(' ');
}

function strict(tool: string, path: readonly string[], schema: JsonSchema): JsonSchema {
  const result: JsonSchema = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'default' && value === null) continue; // an optional argument is one that may be null
    result[key] =
      key === 'properties' || key === '$defs' || key === 'definitions'
        ? Object.fromEntries(
            Object.entries(value as Record<string, JsonSchema>).map(([name, inner]) => [
              name,
              strict(tool, [...path, name], inner),
            ]),
          )
        : Array.isArray(value)
          ? value.map((item: unknown) => (isSchema(item) ? strict(tool, path, item) : item))
          : isSchema(value) && key !== 'default'
            ? strict(tool, path, value)
            : value;
  }
  if (result.type !== 'object') return result;
  const extra = schema.additionalProperties;
  if (extra !== undefined && extra !== false) {
    throw new TypeError(
      `tool ${tool}${path.length > 0 ? `, argument ${path.join('.')}` : ''}: an object of free keys cannot be said to a model; ` +
        'name its properties',
    );
  }
  result.additionalProperties = false;
  result.required = Object.keys((result.properties as JsonSchema | undefined) ?? {});
  return result;
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
