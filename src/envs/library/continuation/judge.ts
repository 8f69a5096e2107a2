/**
 * @file The judge of continuation: what it is asked, and a script that answers like one, for where there is no model to
 * ask. The script cannot tell good prose from bad; it sees whether a text goes on with the story at all.
 */
import { functionModel } from '../../eval/function_model';
import type { ChatModel } from '../../types';

export const GRADE_PROMPT = `Grade how well a continuation goes on with the beginning of a story: the same people, the same matter, good sentences, nothing said twice.

<beginning>
{question}
</beginning>

<continuation>
{response}
</continuation>

Give one letter from A, the best, over B, C and D to F, in this form:
<grade>C</grade>`;

/** A model behind an OpenAI-compatible endpoint. */
export function endpointJudge(baseUrl: string, model: string): ChatModel {
  let endpoint: Promise<ChatModel> | undefined;
  const connect = async () => {
    const { OpenAIModel } = await import('./lazy-endpoint');
    return new OpenAIModel({ baseUrl, model });
  };
  return {
    name: model,
    complete: async (request, options) => (await (endpoint ??= connect())).complete(request, options),
  };
}

/** A script in the place of a judge. */
export function scriptedJudge(): ChatModel {
  return functionModel('scripted-judge', async ({ messages }) => {
    const { gradeOf } = await import('./lazy-grade');
    return gradeOf(messages[0]!.content);
  });
}
