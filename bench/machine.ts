/** @file Where and when, and what was compared: what belongs to every figure. */
import { cpus } from 'node:os';
import manifest from './package.json';
import root from '../package.json';

export interface Machine {
  adapter: string;
  /** Year-month-day. */
  date: string;
  node: string;
  cpu: string;
  cores: number;
  /** Of everything that was compared or runs below it. */
  versions: Record<string, string>;
}

export function describeMachine(adapter: string): Machine {
  return {
    adapter,
    date: new Date().toISOString().slice(0, 10),
    node: process.versions.node,
    cpu: cpus()[0]?.model ?? 'unknown CPU',
    cores: cpus().length,
    versions: {
      dawn: root.devDependencies.webgpu,
      'jax-js': manifest.dependencies['@jax-js/jax'],
      tfjs: manifest.dependencies['@tensorflow/tfjs-backend-webgpu'],
      'transformers.js': root.dependencies['@huggingface/transformers'],
    },
  };
}

export function machineLine({ adapter, node, cpu, cores, date }: Machine): string {
  return `${adapter}, Node ${node}, ${cpu} (${cores} cores), ${date}`;
}
