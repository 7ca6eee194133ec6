"""What a person calls: pictures to scenes, scenes to pictures, edits and answers.

Every method takes one value or a list of them, and batches a list. Values go through the tokenizers to ids,
the decoder continues them under the task's grammar, and the ids are read back.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from trilingua.core.errors import ConfigError, InputError
from trilingua.data.clevr.staging import stage
from trilingua.data.clevr.views import VIEW_FIELD, view_of, with_camera
from trilingua.inference.decode import DecodedSequence, decode
from trilingua.inference.grammar import GrammarTables
from trilingua.inference.sampling import GREEDY, OrderedIds, Sampling
from trilingua.inference.weights import arrange_for_decoding
from trilingua.metrics.calibration import ScoreMap
from trilingua.models.decoder import Decoder
from trilingua.nn.devices import require_device
from trilingua.nn.embeddings import PlacedVectors
from trilingua.scenes.program_text import program_from_text, split_findings
from trilingua.scenes.programs import ProgramResult, execute_program, find_asked
from trilingua.scenes.scene import Scene, SceneObject, Vector
from trilingua.systems.kyvo.arguments import (
    as_list,
    check_lengths,
    check_text,
    read_camera,
    read_picture,
    read_texts,
)
from trilingua.systems.kyvo.build import Tokenizers, load_decoder, load_draft_head, load_tokenizers
from trilingua.systems.kyvo.drafts import DraftHead, ObjectDrafter
from trilingua.systems.kyvo.grammars import task_grammar
from trilingua.systems.kyvo.seeing import SeenPicture, as_seen, as_written, see
from trilingua.systems.kyvo.standing import stand_as_sighted
from trilingua.tokenizers.images import pixels_to_image
from trilingua.tokenizers.sequences import TASKS, Parsed, Segment

_AVERAGED_WITHIN = 1.0
"""Metres about the likeliest number over which the mean is taken: so far a second guess belongs to the same object."""

_RIGHT_WITHIN = 0.25
"""Metres within which an object's score counts a place as right, the widest threshold of the Jaccard index."""

_BATCH = 16
"""Pictures that are painted, and prompts that are decoded, at once; more prompts only wait for the longest."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer with the reason for it."""

    text: str
    """What the program gives, or `direct` where it cannot be run."""
    direct: str
    """What the model writes behind the program, which it does not run."""
    program: str
    """The functional program that the model writes for the question."""
    objects: tuple[SceneObject, ...]
    """The scene's objects that the program, run on the scene, counts or asks about last; none if it cannot be run."""
    problem: str | None = None
    """Why the program could not be run."""


class Kyvo:
    """A trained model and its tokenizers, ready to use.

    Args:
        tokenizers: of the run.
        decoder: of the run; it is arranged for decoding.
        device: where to compute.
        read_codes: read given pictures as their codes instead of seeing them. A decoder that has learned both sees
            better and faster; an exported one knows codes alone.
        average_numbers: take the mean of the likely numbers, which may lie between two of the grid, and not the
            likeliest, as greedy decoding elsewhere does; and let objects stand where sighting finds them, if anything
            sights.
        score_map: from the probability of an object's tokens to its score; None leaves it as it is.
        draft_head: tells what object is about to be written, which makes recognition faster; None: nothing does.
    """

    def __init__(
        self,
        tokenizers: Tokenizers,
        decoder: Decoder,
        *,
        device: str = "cpu",
        read_codes: bool = True,
        average_numbers: bool = True,
        score_map: ScoreMap | None = None,
        draft_head: DraftHead | None = None,
    ) -> None:
        self.tokenizers = tokenizers
        self.sequences = tokenizers.sequences
        self.images = tokenizers.images.to(device).eval()
        self.decoder = arrange_for_decoding(decoder.to(device))
        self.device = torch.device(device)
        if not read_codes and not decoder.config.seen_dim:
            raise ConfigError("read_codes: False; this model was trained on codes alone and cannot see; leave it out")
        self.read_codes = read_codes
        self.score_map = score_map or ScoreMap()
        span, step = tokenizers.vocabulary.span("numbers"), tokenizers.vocabulary.numbers.step
        self._ordered = OrderedIds(
            start=span.start,
            stop=span.stop,
            window=round(_AVERAGED_WITHIN / step) if average_numbers else 0,
            # A square of both coordinates as large as the circle of that radius.
            tolerance=round(_RIGHT_WITHIN * math.sqrt(math.pi) / 2 / step - 0.5),
        )
        self._drafter = ObjectDrafter(draft_head, self.decoder, self.sequences.scenes) if draft_head else None
        self._grammars: dict[tuple[str, str | None], GrammarTables] = {}
        self._decoding = Lock()  # drafts read what the decoder did last

    @classmethod
    def load(
        cls,
        run: str | Path,
        *,
        device: str = "cpu",
        read_codes: bool | None = None,
        average_numbers: bool = True,
    ) -> "Kyvo":
        """Read a run directory that `trilingua train` wrote.

        Args:
            run: the folder.
            device: where to compute.
            read_codes: as in the class; None for what the run was trained on.
            average_numbers: as in the class.

        Raises:
            CheckpointError: the folder is no run, or a file of it is missing or torn.
            ConfigError: there is no such device.
        """
        require_device(device)
        tokenizers = load_tokenizers(run, device=device)
        config, decoder = load_decoder(run, tokenizers, device=device)
        if read_codes is None:
            read_codes = config.loader.reads_codes
        return cls(
            tokenizers,
            decoder,
            device=device,
            read_codes=read_codes,
            average_numbers=average_numbers,
            score_map=config.score_map,
            draft_head=load_draft_head(run, config, tokenizers),
        )

    @property
    def sights(self) -> bool:
        """Whether objects stand where sighting finds them, for which a known camera is of use."""
        return not self.read_codes and self.images.config.eye_light_modes > 0

    def recognize(
        self, images: Any, *, camera: Any = None, constrained: bool = True, sampling: Sampling = GREEDY
    ) -> Any:
        """Return the scene of a picture, or of each picture of a list.

        Args:
            images: a picture or a list of them.
            camera: where the camera of all of them stands, x, y and z in metres, if that is known; it looks at the
                origin, and places are a little better if it need not be told from the ground's shading.
            constrained: as `decode_task`.
            sampling: as `decode_task`.

        Returns:
            A `Scene` each; every object has a `score`, the probability of its tokens, of which a number counts as
            right within 0.25 m, calibrated if the run was (`trilingua calibrate`). The scene records where the camera
            stands, if anything sights, so that `render` draws it from there. Without the grammar, objects that are
            malformed are left out.
        """
        pictures, one = as_list(images)
        if camera is not None:
            camera = read_camera(camera)
            if not self.sights:
                raise InputError("camera: is known, but this model does not find places by sighting; leave it out")
        values = [{"image": seen} for seen in self._see(pictures, camera)]
        scenes = []
        written = self.decode_task("recognition", values, constrained=constrained, sampling=sampling)
        for decoded, value in zip(written, values, strict=True):
            scene = self._scored(self._parse("recognition", decoded), "scene", decoded)
            scenes.append(self._standing(scene, value["image"]) if constrained else scene)
        return scenes[0] if one else scenes

    def render(self, scenes: Any, *, sampling: Sampling = GREEDY) -> Any:
        """Return the model's picture of a scene, or of each scene of a list.

        Args:
            scenes: a scene or a list of them. One that records its view is drawn from that camera, any other from the
                reference camera.
            sampling: as `decode_task`.
        """
        wanted, one = as_list(scenes)
        for scene in wanted:
            self.check_scene(scene)
        staged = [{"scene": stage(scene)} for scene in wanted]
        pictures = self.draw(self.decode_task("rendering", staged, sampling=sampling))
        return pictures[0] if one else pictures

    def edit(self, images: Any, scenes: Any = None, instructions: Any = None, *, sampling: Sampling = GREEDY) -> Any:
        """Return the edited picture and the edited scene.

        The picture is drawn of the edited scene, as the camera sees it that the scene records, or else the one that
        the picture was seen to be taken by.

        Args:
            images: a picture or a list of them.
            scenes: the scene of each; None recognizes it first.
            instructions: what to change, one text each.
            sampling: as `decode_task`.

        Returns:
            A pair (picture, scene), or a list of pairs for lists.
        """
        values, one = self._given(images, scenes, instructions, "instruction")
        # What follows the edited scene would be a picture from a camera that nothing told.
        decoded = self.decode_task("editing", values, last_segment="edited_scene", sampling=sampling)
        edited = [
            as_seen(self._scored(self._parse("editing", item), "edited_scene", item), value["scene"], value["image"])
            for item, value in zip(decoded, values, strict=True)
        ]
        pairs = list(zip(self.render(edited, sampling=sampling), edited, strict=True))
        return pairs[0] if one else pairs

    def ask(
        self, images: Any, questions: Any, *, scene: Any = None, by_program: bool = False, explain: bool = False
    ) -> Any:
        """Return the answer to a question about a picture.

        Args:
            images: a picture or a list of them.
            questions: one question each.
            scene: the scene of each; None recognizes it first.
            by_program: run the functional program that the model writes on the scene, instead of taking the answer
                that it writes behind it.
            explain: return an `Answer` with the program and both answers.
        """
        values, one = self._given(images, scene, questions, "question")
        answers = self._answer(values)
        results = answers if explain else [item.text if by_program else item.direct for item in answers]
        return results[0] if one else results

    def tokenize(self, task: str, **values: Any) -> list[int]:
        """Return the prompt of a task as ids of the unified vocabulary.

        Args:
            task: a name in `tokenizers.sequences.TASKS`.
            values: what the task is given: `image`, `scene`, `instruction`, `question`.
        """
        chosen = _task(task)
        names = [segment.name for segment in chosen.given]
        for name in (*names, *values):
            if name not in values or name not in names:
                problem = "is not given" if name not in names else "is missing"
                raise InputError(f"tokenize {task}: {name} {problem}; the task is given {', '.join(names)}")
        ready = {segment.name: self._ready(segment, values[segment.name]) for segment in chosen.given}
        return self.sequences.prompt(chosen, ready)

    def _ready(self, segment: Segment, value: Any) -> Any:
        """Return a person's value, checked, as the sequence tokenizer takes it."""
        if segment.kind == "image":
            return self.images.tokenize_pictures([read_picture(value)])[0].tolist()
        if segment.kind == "scene":
            self.check_scene(value)
            return stage(value) if segment.staged else value
        check_text(value, segment.name)
        return value

    def detokenize(self, task: str, predicted_ids: Sequence[int]) -> dict[str, Any]:
        """Return what a model wrote after a prompt: a value for each predicted segment, and `problems`.

        Never raises on what a model wrote. A prompt in front is passed over.
        """
        ids = [int(token) for token in predicted_ids]
        if self.sequences.output_id in ids:
            ids = ids[len(ids) - ids[::-1].index(self.sequences.output_id) :]
        parsed = self.sequences.parse(_task(task), ids)
        values = dict(parsed.values)
        for segment in _task(task).predicted:
            if segment.kind == "image" and values[segment.name] is not None:
                values[segment.name] = self.paint([values[segment.name]])[0]
        return {**values, "problems": list(parsed.problems)}

    def grammar(self, task: str, *, last_segment: str | None = None) -> GrammarTables:
        """Return the grammar of what a task may write, up to its end or one of its segments; made once."""
        key = (task, last_segment)
        if key not in self._grammars:
            self._grammars[key] = task_grammar(_task(task), self.sequences, last_segment=last_segment)
        return self._grammars[key]

    def _see(self, pictures: Sequence[Any], camera: Vector | None = None) -> list[SeenPicture]:
        """Return each picture as a task is given it; one that is given several times is looked at once."""
        names = [str(picture) if isinstance(picture, str | Path) else id(picture) for picture in pictures]
        distinct = dict(zip(names, pictures, strict=True))
        given = see(self.images, map(read_picture, distinct.values()), read_codes=self.read_codes, camera=camera)
        by_name = dict(zip(distinct, given, strict=True))
        return [by_name[name] for name in names]

    def paint(self, codes: Sequence[Sequence[int]]) -> list[Image.Image]:
        """Return the picture of each list of codes, in raster order."""
        return self._paint(self.images.quantizer.vectors(torch.tensor(codes).to(self.device)))

    def draw(self, decoded: Sequence[DecodedSequence]) -> list[Image.Image]:
        """Return the pictures of what `decode_task` wrote of the task "rendering".

        Where codes were averaged, their mean is painted in place of the likeliest one, which `paint` would show.
        """
        drawn = []
        for item in decoded:
            parsed = self._parse("rendering", item)
            codes = self.images.quantizer.vectors(torch.tensor(parsed.values["image"]).to(self.device))
            known = zip(parsed.code_places["image"], codes, strict=True)
            drawn.append(torch.stack([item.vectors.get(place, code) for place, code in known]))
        return self._paint(torch.stack(drawn))

    def _paint(self, vectors: Float[Tensor, "picture code code_dim"]) -> list[Image.Image]:
        return [pixels_to_image(picture) for batch in vectors.split(_BATCH) for picture in self.images.paint(batch)]

    def decode_task(
        self,
        task: str,
        values: Sequence[Mapping[str, Any]],
        *,
        constrained: bool = True,
        last_segment: str | None = None,
        sampling: Sampling = GREEDY,
    ) -> list[DecodedSequence]:
        """Return what the model writes for each set of given values.

        Args:
            task: which task.
            values: the given values by name; a picture is a `SeenPicture`, a scene that is drawn is staged.
            constrained: decode under the task's grammar. Without it the ids that `tokenize` returns are continued
                over the whole vocabulary as any engine does it: pictures are read as codes, and the likeliest
                number is written, so that an exported run gives the same.
            last_segment: stop after this predicted segment; None for the whole prediction.
            sampling: how ids are chosen.
        """
        grammar = self.grammar(task, last_segment=last_segment)
        sees = constrained and not self.read_codes
        prompts = [self.sequences.prompt(_task(task), as_written(item, sees=sees)) for item in values]
        vectors, ordered = None, self._ordered
        if not constrained:
            ordered = dataclasses.replace(ordered, window=0)
        if sees:
            vectors = [self._vectors(prompt, item.get("image")) for prompt, item in zip(prompts, values, strict=True)]
        # Of an edited scene the head knows nothing: it was asked of scenes that follow their picture.
        drafter = self._drafter if _task(task).given[-1].kind == "image" else None
        limit = grammar.longest
        assert limit is not None, "no task is written without end"
        excess = max(map(len, prompts)) + limit - self.decoder.config.max_positions
        if excess > 0:
            raise InputError(f"{task}: the prompt has {excess} tokens more than this model reads; shorten the text")
        decoded: list[DecodedSequence] = []
        generator = sampling.generator(self.device)
        with self._decoding:
            for start in range(0, len(prompts), _BATCH):
                decoded += decode(
                    self.decoder,
                    prompts[start : start + _BATCH],
                    grammar if constrained else None,
                    places=self.sequences.places if constrained else {},
                    vectors=None if vectors is None else vectors[start : start + _BATCH],
                    ordered=ordered,
                    average_codes=constrained,
                    drafter=drafter,
                    max_new_tokens=limit,
                    stop_id=grammar.stop_id,
                    sampling=sampling,
                    generator=generator,
                )
        return decoded

    def _vectors(self, prompt: Sequence[int], picture: SeenPicture | None) -> PlacedVectors | None:
        """Return what is seen of a prompt's picture, given to the markers of its cells."""
        if picture is None or picture.vectors is None:
            return None
        start = prompt.index(self.sequences.borders["image"][0])
        return PlacedVectors(torch.arange(len(picture.vectors)) + start + 1, picture.vectors)

    def _parse(self, task: str, decoded: DecodedSequence) -> Parsed:
        """Read what was decoded, numbers as finely as they are known."""
        return self.sequences.parse(TASKS[task], decoded.ids, decoded.means)

    def _scored(self, parsed: Parsed, name: str, decoded: DecodedSequence) -> Scene:
        """Return a parsed scene whose objects carry scores: the product of their tokens' probabilities, calibrated."""
        scene: Scene = parsed.values[name]
        objects = tuple(
            dataclasses.replace(item, score=self.score_map(math.prod(decoded.probabilities[start:stop])))
            for item, (start, stop) in zip(scene.objects, parsed.object_spans[name], strict=True)
        )
        return scene.replace(objects=objects)

    def _standing(self, scene: Scene, picture: SeenPicture) -> Scene:
        """Return a recognized scene with places and camera as sighted, unless numbers of the grid are wanted."""
        if not self._ordered.window or picture.places is None or picture.camera is None:
            return scene
        standing = stand_as_sighted(scene, picture.places, self.tokenizers.vocabulary.numbers)
        return with_camera(standing, picture.camera)

    def _given(self, images: Any, scenes: Any, texts: Any, name: str) -> tuple[list[dict[str, Any]], bool]:
        """Return what a task is given of each picture, and whether there is one that is no list.

        All that was passed is checked first; then pictures are seen, and scenes recognized where there are none.
        """
        pictures, one = as_list(images)
        written = read_texts(texts, one, name)
        known = None if scenes is None else self._read_scenes(scenes, one)
        check_lengths(pictures, pictures if known is None else known, written)
        seen = self._see(pictures)
        if known is None:
            known = self._recognized(seen)
        values = zip(seen, known, written, strict=True)
        return [{"image": image, "scene": scene, name: text} for image, scene, text in values], one

    def _recognized(self, seen: Sequence[SeenPicture]) -> list[Scene]:
        """Return the scene of each picture; one that is there several times is recognized once."""
        looked_at = {id(image): image for image in seen}
        decoded = self.decode_task("recognition", [{"image": image} for image in looked_at.values()])
        found = [
            self._standing(self._parse("recognition", item).values["scene"], image)
            for item, image in zip(decoded, looked_at.values(), strict=True)
        ]
        by_image = dict(zip(looked_at, found, strict=True))
        return [by_image[id(image)] for image in seen]

    def _read_scenes(self, scenes: Any, one: bool) -> list[Scene]:
        """Return the scene of each picture, checked."""
        if not one and not isinstance(scenes, list | tuple):
            raise InputError(f"scene: expected a list, one for each picture, got {type(scenes).__name__}")
        known = [scenes] if one else list(scenes)
        for scene in known:
            self.check_scene(scene)
        return known

    def check_scene(self, scene: Any, where: str | Path = "scene") -> None:
        """Raise unless the model can read a scene.

        Args:
            scene: should be one.
            where: what an error names: the argument or the file that it comes from.

        Raises:
            InputError: it is no scene, a field of it is out of range, or it has too many objects.
        """
        schema = self.tokenizers.schema
        if not isinstance(scene, Scene):
            raise InputError(f"{where}: expected a Scene, got {type(scene).__name__}; read one with Scene.load")
        Scene.from_json(scene.to_json(), schema=schema)  # What was put together by hand is checked as a file is.
        if VIEW_FIELD in scene.extra:
            view_of(scene, where=str(where))
        if len(scene.objects) > schema.max_objects:
            raise InputError(
                f"{where}: has {len(scene.objects)} objects; this model reads at most {schema.max_objects}"
            )

    def _answer(self, values: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Write each question's program and answer, and run the program; the answer counts where that fails."""
        answers: list[Answer] = []
        for item, decoded in zip(values, self.decode_task("qa", values), strict=True):
            written, scene = self._parse("qa", decoded).values, item["scene"]
            text, _ = split_findings(written["program"])
            parsed = program_from_text(text)
            result = ProgramResult(problem=parsed.problem)
            found: list[Any] = []
            if parsed.program is not None:
                result = execute_program(parsed.program, scene)
                if result.problem is None:
                    found = find_asked(parsed.program, result.outputs)
            answers.append(
                Answer(
                    text=result.answer or written["answer"],
                    direct=written["answer"],
                    program=text,
                    objects=tuple(scene.objects[index] for index in found[-1]) if found else (),
                    problem=result.problem,
                )
            )
        return answers


def _task(name: str) -> Any:
    if name not in TASKS:
        raise ConfigError(f"task: {name!r} is unknown; choose one of {', '.join(TASKS)}")
    return TASKS[name]
