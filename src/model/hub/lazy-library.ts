/** @file What is used of Hugging Face's hub client and of hash-wasm: loaded with the first download. */
export { listFiles, modelInfo } from '@huggingface/hub';
export { createSHA1, createSHA256 } from 'hash-wasm';
