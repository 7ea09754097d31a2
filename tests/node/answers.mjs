// What transformers.js answers to texts, in Node.js and in a browser alike: token ids, logits, and
// label and score of its pipeline. One text is run at a time, so that no answer depends on others.
export async function answers(transformers, folder, settings, texts) {
  const classifier = await transformers.pipeline("text-classification", folder, settings);
  const found = [];
  for (const text of texts) {
    const inputs = classifier.tokenizer(text, { truncation: true });
    const { logits } = await classifier.model(inputs);
    const [answer] = await classifier(text);
    const ids = inputs.input_ids.tolist()[0].map(Number); // of BigInt
    found.push({ ids, logits: logits.tolist()[0], ...answer });
  }
  await classifier.dispose();
  return found;
}
