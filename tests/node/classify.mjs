// node classify.mjs BUNDLE DTYPE: a JSON list of texts on stdin, the answers as JSON on stdout.
// DTYPE "fp32" loads onnx/model.onnx, "q8" loads onnx/model_quantized.onnx. Nothing is fetched.
import { readFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import * as transformers from "@huggingface/transformers";
import { answers } from "./answers.mjs";

const [bundle, dtype] = process.argv.slice(2);
if (!["fp32", "q8"].includes(dtype)) {
  console.error("usage: node classify.mjs BUNDLE fp32|q8 < texts.json");
  process.exit(2);
}
transformers.env.allowRemoteModels = false;
transformers.env.localModelPath = dirname(resolve(bundle));
const settings = { dtype, device: "cpu" };
const texts = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(await answers(transformers, basename(resolve(bundle)), settings, texts)));
