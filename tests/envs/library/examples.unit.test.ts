import { expect, it } from 'vitest';
import { LIBRARY, libraryEntry } from '../../../src/envs';
import type { Environment, Message } from '../../../src/envs';
import { formatTinyCall } from '../../../src/model';
import { demonstrationOf } from './players';

/** `npm run examples` writes the files; here they are checked to be what it would write. */
const TASKS = 24;
const CONVERSATIONS = 2;

const folderOf = ({ name }: { name: string }) => name.replace(/-mini$/, '');
/** In even-digits all tasks are one. */
const FOLDERS = [...new Set(LIBRARY.map(folderOf))].filter((name) => name !== 'even-digits');

it.each(FOLDERS)('%s/EXAMPLES.md', async (folder) => {
  const parts = [
    `# ${folder}: example tasks`,
    'Written by `npm run examples`: the first held-out tasks of seed 0 and how they are done. A space at the start of a text is part of it.',
  ];
  for (const { name } of LIBRARY.filter((entry) => folderOf(entry) === folder)) {
    const env = libraryEntry(name).load({ ...(name === 'wiki-search-mini' && { drills: 0 }) });
    parts.push(`## ${name}`, fenced(await tasks(env)));
    for (let i = 0; i < CONVERSATIONS; i++) parts.push(fenced(await conversation(env, i)));
  }
  const path = new URL(`../../../src/envs/library/${folder}/EXAMPLES.md`, import.meta.url).pathname;
  await expect(`${parts.join('\n\n')}\n`).toMatchFileSnapshot(path);
});

async function tasks(env: Environment): Promise<string> {
  const lines = [];
  for (let i = 0; i < TASKS; i++) {
    const { question, answer } = await env.example(i, 'eval');
    lines.push(`${String(i + 1).padStart(2)}. ${indented(question!)}`, `    -> ${indented(answer!)}`);
  }
  return lines.join('\n');
}

async function conversation(env: Environment, index: number): Promise<string> {
  const messages = [...env.promptFor(await env.example(index, 'eval')), ...(await demonstrationOf(env, index))];
  return messages.map((message) => `${message.role.padEnd(10)}${indented(text(message), 10)}`).join('\n');
}

function text({ content, toolCalls = [] }: Message): string {
  return content + toolCalls.map(formatTinyCall).join('\n');
}

function indented(value: string, by = 4): string {
  return value.replaceAll(/\n(?=[^\n])/g, `\n${' '.repeat(by)}`);
}

function fenced(value: string): string {
  return `\`\`\`text\n${value}\n\`\`\``;
}
