"""The demonstration: fresh scenes that nobody has seen, through all four tasks, and fresh shapes, as one page."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trilingua.app.report import ReportRow, ShapeRow, write_report
from trilingua.app.shapes import show_shapes
from trilingua.core.io import write_image, write_json
from trilingua.core.random import make_generator
from trilingua.data.clevr.instructions import Instruction, generate_instructions
from trilingua.data.clevr.placement import complete_scene, sample_scene, visible_enough
from trilingua.data.clevr.questions import generate_questions
from trilingua.data.renderers.builtin import BuiltinRenderer
from trilingua.data.renderers.protocol import View
from trilingua.metrics.answers import score_answers
from trilingua.metrics.image import score_images
from trilingua.metrics.scene_match import score_scenes
from trilingua.scenes.functions import answer_type
from trilingua.scenes.scene import Scene
from trilingua.systems.kyvo.pipeline import Kyvo
from trilingua.systems.shapes.pipeline import ShapeModel

QUESTIONS_PER_SCENE = 4
"""Questions asked about each scene, where it has that many; the page shows the first."""


class _Example:
    """One fresh scene with its picture, an instruction with its target, and questions."""

    def __init__(self, seed: int, index: int, renderer: BuiltinRenderer) -> None:
        generator = make_generator(seed, "demo", index)
        self.scene, self.view = sample_scene(generator, renderer)
        self.picture = _draw(renderer, self.scene, self.view)
        self.instruction, self.target = self._edit(generator, renderer)
        self.target_picture = _draw(renderer, self.target, self.view)
        self.questions = generate_questions(self.scene, generator, QUESTIONS_PER_SCENE)

    def _edit(self, generator: Any, renderer: BuiltinRenderer) -> tuple[Instruction, Scene]:
        def acceptable(target: Scene) -> bool:
            return visible_enough(renderer, target, self.view)

        instruction: list[Instruction] = []
        while not instruction:
            instruction = generate_instructions(self.scene, generator, 1, acceptable=acceptable)
        return instruction[0], complete_scene(instruction[0].target_scene.objects, self.view)


def run_demo(
    model: Kyvo,
    out: Path,
    *,
    seed: int,
    num_scenes: int,
    shapes: ShapeModel | None = None,
    num_shapes: int = 3,
    progress: Callable[[Any, str], Iterable[Any]] = lambda items, _: items,
    started: float | None = None,
) -> dict[str, Any]:
    """Write `report.html`, `summary.json`, pictures and scenes into `out`, and return the summary.

    Args:
        model: what is shown.
        out: the folder; it is made.
        seed: of the scenes.
        num_scenes: how many, at least 1.
        shapes: a shape tokenizer to show too.
        num_shapes: how many objects it is shown with, at least 1.
        progress: wraps a list of work with a title.
        started: `time.perf_counter()` at the start of the program, for the total.
    """
    started = time.perf_counter() if started is None else started
    renderer = BuiltinRenderer()
    examples = [_Example(seed, index, renderer) for index in progress(range(num_scenes), "scenes")]
    truth = [example.scene for example in examples]
    pictures = [example.picture for example in examples]
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        seconds[name] = round(time.perf_counter() - start, 3)
        return result

    asked = [(example, question) for example in examples for question in example.questions]
    work: dict[str, Callable[[], Any]] = {
        "recognize": lambda: model.recognize(pictures),
        "render": lambda: model.render(truth),
        "edit": lambda: model.edit(pictures, truth, [example.instruction.instruction for example in examples]),
        "ask": lambda: model.ask(
            [example.picture for example, _ in asked],
            [question["question"] for _, question in asked],
            scene=[example.scene for example, _ in asked],
            explain=True,
        ),
    }
    results = {name: timed(name, work[name]) for name in progress(list(work), "model")}
    true_answers = [question["answer"] for _, question in asked]
    recognition = score_scenes(results["recognize"], truth)
    rendering = score_images(results["render"], pictures)
    editing = score_scenes([scene for _, scene in results["edit"]], [example.target for example in examples])
    answers = [answer.direct for answer in results["ask"]]
    qa = score_answers(answers, true_answers, [answer_type(answer) or "other" for answer in true_answers])
    rows = []
    first_questions = np.cumsum([0, *(len(example.questions) for example in examples)]).tolist()
    for index, example in enumerate(examples):
        name = f"scene_{index:03d}"
        found, drawn = results["recognize"][index], results["render"][index]
        edited_picture, edited_scene = results["edit"][index]
        question, answer = example.questions[0], results["ask"][first_questions[index]]
        rows.append(
            ReportRow(
                name=f"Scene {index + 1}",
                picture=example.picture,
                truth=example.scene,
                recognized=found,
                rendered=drawn,
                instruction=example.instruction.instruction,
                edited_picture=edited_picture,
                edited_scene=edited_scene,
                edit_truth_picture=example.target_picture,
                edit_truth_scene=example.target,
                question=question["question"],
                answer=answer.direct,
                true_answer=question["answer"],
                program=answer.program,
                metrics={
                    "recognition Jaccard": _mean_jaccard(found, example.scene),
                    "editing Jaccard": _mean_jaccard(edited_scene, example.target),
                    "rendering SSIM": round(score_images([drawn], [example.picture])["ssim"], 3),
                },
            )
        )
        write_image(out / f"{name}.png", example.picture)
        example.scene.save(out / f"{name}_truth.json")
        found.save(out / f"{name}.json")
        found.save(out / f"{name}.glb")
        write_image(out / f"{name}_rendered.png", drawn)
        write_image(out / f"{name}_edited.png", edited_picture)
        edited_scene.save(out / f"{name}_edited.json")
    summary: dict[str, Any] = {
        "seed": seed,
        "num_scenes": num_scenes,
        "recognition": {"jaccard": recognition["jaccard"], "jaccard_at": recognition["jaccard_at"]},
        "rendering": {name: rendering[name] for name in ("ssim", "l2", "psnr")},
        "editing": {"jaccard": editing["jaccard"]},
        "qa": {"accuracy": qa["accuracy"]},
    }
    shape_rows: list[ShapeRow] = []
    if shapes is not None:
        shape_rows, summary["shapes"] = timed(
            "shapes", lambda: show_shapes(shapes, out, seed=seed, num_shapes=num_shapes, progress=progress)
        )
    # The page shows how long it took to come so far, the file how long it took with the page.
    summary["seconds"] = {**seconds, "total": round(time.perf_counter() - started, 3)}
    write_report(out / "report.html", rows, summary, shapes=shape_rows)
    summary["seconds"]["total"] = round(time.perf_counter() - started, 3)
    write_json(out / "summary.json", summary)
    return summary


def _draw(renderer: BuiltinRenderer, scene: Scene, view: View) -> Image.Image:
    return Image.fromarray(renderer.render(scene, view).image)


def _mean_jaccard(found: Scene, truth: Scene) -> float:
    return round(score_scenes([found], [truth])["jaccard"], 3)
