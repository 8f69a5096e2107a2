/** @file Tokenizers and templates of Hugging Face models, with their libraries: loaded when such a model is. */
export { loadHuggingFaceText } from './huggingface';
