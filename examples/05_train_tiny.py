"""Train from nothing in seconds: data, image tokenizer, shards, decoder.

You learn the two stages of training, what each leaves on disk, and how a configuration is changed. The
sizes are those of the tests, so the result is a valid model and not a good one; `docs/howto/train.md` has
the commands of the real one.

    python examples/05_train_tiny.py [OUT_DIR]
"""

import dataclasses
import sys
from pathlib import Path

from trilingua.data.clevr.files import ClevrFolder
from trilingua.data.clevr.generate import ClevrConfig, generate_clevr
from trilingua.data.tokenize_folder import tokenize_folder
from trilingua.systems.kyvo.build import load_decoder, load_tokenizers
from trilingua.systems.kyvo.config import kyvo_tiny, kyvo_tiny_tokenizers
from trilingua.systems.kyvo.train import tools_of, train_decoder, train_tokenizers


def main(out: Path) -> None:
    """Run both stages on a dozen scenes, each in its own folder below `out`."""
    data, first, shards, second = (out / name for name in ("data", "tokenizers", "shards", "decoder"))

    manifest = generate_clevr(
        data, ClevrConfig(num_scenes=12, seed=3, split="tiny", questions_per_scene=6, instructions_per_scene=2)
    )
    print("data:", manifest["counts"])

    # Stage one: the text tokenizer is learnt from the tasks' texts, the image tokenizer from the pictures.
    config = kyvo_tiny_tokenizers()
    config = dataclasses.replace(config, data=str(data), trainer=dataclasses.replace(config.trainer, max_steps=10))
    result = train_tokenizers(config, first)
    print(f"stage one: {result.step} steps, {result.reason}, loss {result.metrics['loss']:.3f}")
    tokenizers = load_tokenizers(first)
    for span in tokenizers.vocabulary.spans:
        print(f"  {span.name}: ids {span.start} to {span.stop - 1}")

    # Pictures, scenes, questions and instructions become ids once; training never sees a pixel again.
    count = tokenize_folder(ClevrFolder(data), shards, make_tools=lambda: tools_of(tokenizers))
    print(f"shards: {count} scenes")

    # Stage two: one decoder for all tasks.
    decoder_config = kyvo_tiny()
    trainer = dataclasses.replace(decoder_config.trainer, max_steps=10)
    decoder_config = dataclasses.replace(decoder_config, tokenizers=str(first), data=str(shards), trainer=trainer)
    result = train_decoder(decoder_config, second)
    print(f"stage two: {result.step} steps, {result.reason}, loss {result.metrics['loss']:.3f}")

    # The folder is all that loading needs.
    _, decoder = load_decoder(second, load_tokenizers(second))
    print(f"decoder: {sum(parameter.numel() for parameter in decoder.parameters()):,} parameters")
    print("in the run's folder:", ", ".join(sorted(path.name for path in second.iterdir())))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/examples/tiny"))
