// node classify.mjs BUNDLE DTYPE: a JSON list of texts on stdin, {"logits": …, "answers": …} on
// stdout. DTYPE "fp32" loads onnx/model.onnx, "q8" loads onnx/model_quantized.onnx. One text is run
// at a time, so that no answer depends on the others. Nothing is fetched from anywhere.
import { readFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { env, pipeline } from "@huggingface/transformers";

const [bundle, dtype] = process.argv.slice(2);
if (!["fp32", "q8"].includes(dtype)) {
  console.error("usage: node classify.mjs BUNDLE fp32|q8 < texts.json");
  process.exit(2);
}
env.allowRemoteModels = false;
env.localModelPath = dirname(resolve(bundle));

const classifier = await pipeline("text-classification", basename(resolve(bundle)), {
  dtype,
  device: "cpu",
});
const logits = [];
const answers = [];
for (const text of JSON.parse(readFileSync(0, "utf8"))) {
  const inputs = classifier.tokenizer(text, { truncation: true });
  logits.push((await classifier.model(inputs)).logits.tolist()[0]);
  answers.push((await classifier(text))[0]);
}
await classifier.dispose();
console.log(JSON.stringify({ logits, answers }));
