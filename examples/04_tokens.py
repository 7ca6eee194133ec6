"""Three languages, one vocabulary: a picture, a scene and a question as ids, and back.

You learn the vocabulary's spans, what each id stands for, how a task is laid out as one sequence, what is
lost on the way through ids, and what reading does with ids that make no sense.

    python examples/04_tokens.py [OUT_DIR] [RUN]
"""

import sys
from pathlib import Path

from PIL import Image

import trilingua
from trilingua.core.random import make_generator
from trilingua.data.clevr.placement import sample_scene
from trilingua.data.renderers.builtin import BuiltinRenderer
from trilingua.tokenizers.sequences import TASKS


def main(out: Path, run: str | None = None) -> None:
    """Write a picture and a scene as ids and read them back; the picture that comes back goes to `out`."""
    model = trilingua.load(run)
    vocabulary, sequences = model.tokenizers.vocabulary, model.tokenizers.sequences
    for span in vocabulary.spans:
        print(f"{span.name:>8}: ids {span.start:>5} to {span.stop - 1:>5}, such as {vocabulary.describe(span.start)}")

    renderer = BuiltinRenderer()
    scene, view = sample_scene(make_generator(5, "an example"), renderer, max_objects=4)
    picture = Image.fromarray(renderer.render(scene, view).image)

    # A task is data: what is given, and what is predicted after [OUTPUT-START].
    for task in TASKS.values():
        given, predicted = ([segment.name for segment in part] for part in (task.given, task.predicted))
        print(f"{task.name}: {' + '.join(given)} -> {' + '.join(predicted)}")

    # A prompt is what the model reads.
    prompt = model.tokenize("qa", image=picture, scene=scene, question="Is there a red cube?")
    counts = {span.name: sum(token in span for token in prompt) for span in vocabulary.spans}
    print(f"a question's prompt has {len(prompt)} ids: {counts}")

    # A scene as the model should write it. Numbers are kept to half a bin, objects go from left to right.
    written = sequences.prediction(TASKS["recognition"], {"scene": scene})
    print("the first object:", " ".join(vocabulary.describe(token) for token in written[1:15]))
    read = model.detokenize("recognition", written)
    assert read["problems"] == []
    assert len(read["scene"].objects) == len(scene.objects)

    # A picture as codes and back: what the image tokenizer keeps of it.
    codes = [token - vocabulary.span("image").start for token in prompt if vocabulary.kind(token) == "image"]
    target = sequences.prediction(TASKS["rendering"], {"image": codes})
    model.detokenize("rendering", target)["image"].save(out / "from_codes.png")
    picture.save(out / "picture.png")
    print(f"{picture.width} x {picture.height} pixels became {len(codes)} codes, {len(set(codes))} of them different")

    # What a model wrote is never trusted: reading gives what is whole and says what is not.
    broken = model.detokenize("recognition", [*written[:20], vocabulary.end_id])
    print(f"cut off: {len(broken['scene'].objects)} whole object;", "; ".join(broken["problems"]))


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out/examples/tokens")
    folder.mkdir(parents=True, exist_ok=True)
    main(folder, *sys.argv[2:3])
