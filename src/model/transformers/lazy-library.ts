/** @file What is used of transformers.js: a megabyte of its own, loaded when the first ONNX model is. */
export {
  AutoConfig,
  AutoModelForCausalLM,
  AutoTokenizer,
  InterruptableStoppingCriteria,
  LogitsProcessor,
  LogitsProcessorList,
  Tensor,
  env,
} from '@huggingface/transformers';
