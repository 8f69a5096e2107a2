/** @file Where the page's starting models come from: the starters shipped with it, over HTTP. */
import type { FileSource } from '../../src/model';
import type { ModelSources } from '../../src/rl';

/** Every file of every starter, as a URL that the build emits beside the page. */
const FILES = import.meta.glob<string>('../../starters/*/*.{json,safetensors}', {
  query: '?url',
  import: 'default',
  eager: true,
});

function starterUrl(env: string, file: string): string | undefined {
  return FILES[`../../starters/${env}/${file}`];
}

function starter(env: string): FileSource | undefined {
  if (!starterUrl(env, 'config.json')) return undefined;
  return {
    name: `starters/${env}`,
    read: async (file) => {
      const url = starterUrl(env, file);
      if (!url) return undefined;
      const response = await fetch(url);
      if (!response.ok) throw new Error(`starters/${env}/${file}: the server answered ${response.status}`);
      return new Uint8Array(await response.arrayBuffer());
    },
  };
}

/** @param folder finds any other model by its name */
export function pageSources(folder: ModelSources['folder']): ModelSources {
  return { starter: (env) => Promise.resolve(starter(env)), folder };
}

/** starter.json of an environment's starter, or null. */
export async function starterCard(env: string): Promise<unknown> {
  const bytes = await starter(env)?.read('starter.json');
  return bytes ? (JSON.parse(new TextDecoder().decode(bytes)) as unknown) : null;
}
