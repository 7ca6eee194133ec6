"""Text to ids and back, by byte-level BPE: any string round-trips.

One class serves both cases: a backbone's own `tokenizer.json`, or a small tokenizer trained on a task's
texts. The algorithm is Hugging Face's `tokenizers`; this module only pins how it is used.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from trilingua.core.errors import InputError
from trilingua.core.io import existing_file, write_bytes


class TextTokenizer:
    """A byte-level BPE whose ids are the text span of the vocabulary."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @property
    def size(self) -> int:
        """Number of ids."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    @property
    def digest(self) -> str:
        """SHA-256 of the tokenizer's own file."""
        return hashlib.sha256(self._tokenizer.to_str().encode()).hexdigest()

    def tokenize(self, text: str) -> list[int]:
        """Return the ids of `text`, without any special token."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def detokenize(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`, each in [0, size); ids cut in the middle of a character give U+FFFD there."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def save(self, path: str | Path) -> None:
        """Write the tokenizer as one JSON file, atomically."""
        write_bytes(path, self._tokenizer.to_str(pretty=True).encode())

    @classmethod
    def load(cls, path: str | Path) -> "TextTokenizer":
        """Read a `tokenizer.json`.

        Raises:
            InputError: the file is missing or is no tokenizer.
        """
        path = existing_file(path)
        try:
            return cls(Tokenizer.from_str(path.read_text(encoding="utf-8")))
        except Exception as error:  # The library raises bare `Exception` for any malformed file.
            raise InputError(f"{path}: is not a tokenizer.json of the `tokenizers` library") from error

    @classmethod
    def train(cls, texts: Iterable[str], *, size: int, whole_words: Sequence[str] = ()) -> "TextTokenizer":
        """Learn a tokenizer of at most `size` ids from `texts`.

        Args:
            texts: what it should write briefly.
            size: number of ids, at least 256 (the bytes).
            whole_words: words that become one id each where they follow a space, as long as `size` has
                room for their merges; they are repeated until they win them.
        """
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        )
        corpus = list(texts)
        favoured = [f" {word}" for word in whole_words] * max(50, len(corpus) // 10)
        tokenizer.train_from_iterator([*corpus, *favoured], trainer)
        return cls(tokenizer)
