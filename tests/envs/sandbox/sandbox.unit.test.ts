import { afterEach, describe, expect, it } from 'vitest';
import { SANDBOX_MEMORY_BYTES, SandboxEnv, SandboxError, SandboxHost, formatRun, rows } from '../../../src/envs';
import type { SandboxHostOptions, SandboxReply, SandboxRequest, SandboxWorker } from '../../../src/envs';

const hosts: SandboxHost[] = [];
afterEach(() => hosts.splice(0).forEach((host) => host.close()));

function newHost(options?: SandboxHostOptions): SandboxHost {
  const host = new SandboxHost(options);
  hosts.push(host);
  return host;
}

/** Holds the interpreter up where it counts no steps. */
const UNCOUNTED = 'Array(2 ** 32 - 1).indexOf(1)';
/** More steps than a sandbox is made again by. */
const MANY_STEPS = 'for (let i = 0; i < 2e5; i++) total += i;';

describe('a sandbox', () => {
  it('keeps what it declares from one run to the next, and from the others', async () => {
    const host = newHost();
    const [a, b] = [host.open(), host.open()];
    await a.run('let x = 1; function f() { return ++x; }');
    await b.run('let x = 10');
    expect((await a.run('f()')).value).toBe('2');
    expect((await b.run('x')).value).toBe('10');
    expect((await a.run('f()')).value).toBe('3');
    expect((await b.run('typeof f')).value).toBe('undefined');
  });

  it('is the same when others have run in between, whether it is kept or made again', async () => {
    const host = newHost();
    const script = [
      'let total = Math.random(); const seen = [];',
      MANY_STEPS,
      'seen.push(Math.random())',
      '[total, seen]',
    ];
    const alone = host.open({ key: [3, 4] });
    const results = [];
    for (const code of script) results.push(await alone.run(code));
    expect(results[1]!.steps).toBeGreaterThan(200_000);
    const pair = [host.open({ key: [3, 4] }), host.open({ key: [3, 4] })];
    for (const [i, code] of script.entries()) for (const each of pair) expect(await each.run(code)).toEqual(results[i]);
    expect((await host.open({ key: [3, 5] }).run('Math.random()')).value).not.toBe(
      (await host.open({ key: [3, 4] }).run('Math.random()')).value,
    );
  });

  it('is empty again after it was stopped', async () => {
    const sandbox = newHost().open({ limits: { steps: 20_000 } });
    await sandbox.run('let x = 1');
    expect(await sandbox.run('for (;;);')).toMatchObject({
      stopped: 'steps',
      error: 'stopped after 20000 steps; nothing that was declared is left',
    });
    expect((await sandbox.run('typeof x')).value).toBe('undefined');
    expect((await sandbox.run('let x = 2; x')).value).toBe('2');
  });

  it('keeps what it has after an error', async () => {
    const sandbox = newHost().open();
    await sandbox.run('let x = 1; (function f() { f(); })()');
    expect((await sandbox.run('x')).value).toBe('1');
  });

  it('has the limits it was given', async () => {
    const sandbox = newHost().open({ limits: { codeLength: 20, outputLength: 5, stackBytes: 8 << 10 } });
    expect((await sandbox.run('1'.repeat(21))).error).toBe('the code has 21 characters; at most 20 fit');
    expect(await sandbox.run('"123456"')).toMatchObject({
      value: '12345\n[the text goes on: its first 5 characters are shown]',
      cut: true,
    });
    expect(await sandbox.run('"12345"')).toMatchObject({ value: '12345', cut: false });
  });

  it.each<[Record<string, number>, string]>([
    [{ steps: 0 }, 'sandbox limits: steps 0 is no count'],
    [{ outputLength: NaN }, 'sandbox limits: outputLength NaN is no count'],
    [{ stackBytes: 1 << 20 }, 'sandbox limits: stackBytes 1048576 is more than 65536'],
    [{ memory: 5 }, 'sandbox limits: there is no memory, only steps, stackBytes, codeLength, outputLength'],
  ])('refuses the limits %j', (limits, message) => {
    expect(() => newHost().open({ limits })).toThrow(message);
    expect(() => new SandboxEnv({ name: 'x', dataset: rows([]), limits })).toThrow(message);
  });

  it('has 16 MB, and no more when another one is empty', async () => {
    expect(SANDBOX_MEMORY_BYTES).toBe(2 ** 24);
    const host = newHost();
    const [a, b] = [host.open(), host.open()];
    expect((await a.run('let kept = new Uint8Array(6e6).fill(1); kept.length')).value).toBe('6000000');
    expect((await b.run('new Uint8Array(6e6).fill(1).length')).value).toBe('6000000');
    expect((await a.run('new Uint8Array(6e6)')).stopped).toBe('memory');
    expect((await b.run('1')).value).toBe('1');
  });

  it('says what came of a run as a model reads it', async () => {
    const sandbox = newHost().open();
    expect(formatRun(await sandbox.run('console.log("a", [1]); 2'))).toBe('a [1]\n=> 2');
    expect(formatRun(await sandbox.run('console.log("b"); c'))).toBe("b\nerror: ReferenceError: 'c' is not defined");
    expect(formatRun(await sandbox.run(''))).toBe('=> undefined');
  });
});

describe('the host', () => {
  it('ends what does not come back, and makes the other sandboxes again', async () => {
    const host = newHost({ clockSeconds: 1.5 });
    const [bad, good] = [host.open(), host.open({ key: [7, 7] })];
    await bad.run('let x = 1');
    const { value: drawn } = await good.run('let y = Math.random(); y');
    expect(await bad.run(UNCOUNTED)).toMatchObject({
      stopped: 'clock',
      error: 'stopped after 1.5 s; nothing that was declared is left',
    });
    expect((await good.run('y')).value).toBe(drawn);
    expect((await bad.run('typeof x')).value).toBe('undefined');
  });

  it('runs what is asked at the same time one after the other', async () => {
    const sandbox = newHost().open();
    const results = await Promise.all(['let x = 1', 'x += 1', 'x *= 5', 'x'].map((code) => sandbox.run(code)));
    expect(results.at(-1)!.value).toBe('10');
  });

  it('survives an interpreter that fails: the run says so, and the next has a new worker', async () => {
    const replies: SandboxReply[] = [
      { type: 'broken', message: 'RangeError: too deep' },
      { type: 'ran', result: { stdout: '', value: '5', cut: false, steps: 0 }, heldBytes: 0 },
    ];
    let workers = 0;
    const host = newHost({
      start: () => {
        const reply = replies[workers++]!;
        return puppet(({ type }) => (type === 'run' ? reply : undefined));
      },
    });
    const sandbox = host.open();
    expect(await sandbox.run('1')).toMatchObject({
      stopped: 'crash',
      error: 'the interpreter failed (RangeError: too deep); nothing that was declared is left',
    });
    expect((await sandbox.run('1')).value).toBe('5');
    expect(workers).toBe(2);
  });

  it('without a worker fails as such, and not as the code', async () => {
    const none = newHost({
      start: () => {
        throw new Error('not here');
      },
    });
    await expect(none.open().run('1')).rejects.toThrow(SandboxError);
    await expect(none.open().run('1')).rejects.toThrow('no worker for sandboxes: not here');
  });

  it('1,000 sandboxes and 1,000 runs of one leave the memory as it was', { timeout: 60_000 }, async () => {
    const host = newHost();
    const code = 'const a = []; for (let i = 0; i < 2000; i++) a.push({ i }); console.log(a.length); a.length';
    const use = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const sandbox = host.open();
        expect((await sandbox.run(code)).value).toBe('2000');
        await sandbox.dispose();
      }
      const one = host.open();
      await one.run('let x');
      for (let i = 0; i < count; i++) expect((await one.run(`{ ${code} }`)).value).toBe('2000');
      await one.dispose();
    };
    await use(100);
    const before = process.memoryUsage().rss;
    await use(1000);
    const grown = (process.memoryUsage().rss - before) / 2 ** 20;
    process.stdout.write(`memory after 2,000 runs: ${grown.toFixed(1)} MB more than before\n`);
    expect(grown).toBeLessThan(32); // 16 kB a run would be more
    expect(host.heldBytes).toBe(0);
  });
});

/** A worker that says it is ready, and then what it is told to say. */
function puppet(answer: (request: SandboxRequest) => SandboxReply | undefined): SandboxWorker {
  let hear: (reply: SandboxReply) => void;
  return {
    post: (request) => {
      const reply = answer(request);
      if (reply) setTimeout(() => hear(reply));
    },
    listen: (listener) => {
      hear = listener;
      setTimeout(() => hear({ type: 'ready' }));
    },
    hold: () => undefined,
    terminate: () => undefined,
  };
}
