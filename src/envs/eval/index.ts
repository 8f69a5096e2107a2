/** @file Evaluation: evaluate(), results on disk, comparisons, models behind HTTP, synthetic data. */
export * from './compare';
export * from './endpoint_error';
export * from './evaluate';
export * from './function_model';
export * from './interval';
export * from './lines';
export * from './openai';
export * from './openai_wire';
export * from './pass_at_k';
export * from './read_results';
export * from './results';
export * from './resume';
export * from './store';
export * from './summary';
export * from './synthetic';
export * from './usage';
