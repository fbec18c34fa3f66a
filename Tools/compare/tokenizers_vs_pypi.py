"""Compares `mingle tokenizer` with the PyPI packages tokenizers and sentencepiece.

    python tokenizers_vs_pypi.py [--mingle PATH] [--seed N] [--lines N] [--train] VOCABULARY...
        [--files FILE...]

Needs tokenizers, sentencepiece and protobuf. Each vocabulary (a .model or a vocab.txt) tokenises
random lines of all of Unicode, every code point by itself, one long line, and the files; ids and decoded
text must be equal, and ranges too, but for WordPiece lines with combining marks, where `tokenizers`
counts in a changed text. With --train both train a unigram model on the files; their pieces must be
equal.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

import sentencepiece
from tokenizers import BertWordPieceTokenizer

SYMBOLS = ["[MASK]", "[CLS]", "[UNK]", "<mask>", "<unk>", "==", "@-@", "<0x41>", "[", "<", "▁", "\u2585"]
MARKS = [0x300, 0x301, 0x323, 0x8D4, 0x1D165, 0x302E, 0x5B0, 0xF71, 0x64B, 0x93C, 0x3099, 0x10D24]
SPACES = [0x20, 0x20, 0x09, 0xA0, 0x3000, 0x200B, 0x200D, 0xAD, 0xFEFF, 0xFFFD, 0x00, 0x85, 0x2028]


def random_character(generator):
    draw = generator.random()
    if draw < 0.1:
        return chr(generator.choice(MARKS))
    if draw < 0.2:
        return chr(generator.choice(SPACES))
    if draw < 0.25:
        return generator.choice(SYMBOLS)
    ranges = [(0x20, 0x7F), (0x20, 0x7F), (0x80, 0x3400), (0x3400, 0xD800), (0xAC00, 0xD7A4)]
    ranges += [(0xE000, 0x10000), (0x10000, 0x20000), (0x20000, 0x110000)]
    return chr(generator.randrange(*generator.choice(ranges)))


def random_lines(generator, count):
    for _ in range(count):
        length = generator.choice([1, 3, 10, 40, 100])
        yield "".join(random_character(generator) for _ in range(length)).replace("\n", " ").replace("\r", " ")


def every_character():
    for code in range(0x110000):
        if code not in (0x0A, 0x0D) and not 0xD800 <= code < 0xE000:
            yield f"a{chr(code)}b {chr(code)}"


def bytes_before(text):
    offsets = [0]
    for character in text:
        offsets.append(offsets[-1] + len(character.encode()))
    return offsets


class WordPiece:
    def __init__(self, path):
        words = [word for word in pathlib.Path(path).read_text().split("\n") if not word.startswith("[")]
        lowercase = all(word == word.lower() for word in words)
        self.tokenizer = BertWordPieceTokenizer(path, lowercase=lowercase)

    def encode(self, text):
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        if any(unicodedata.category(character)[0] == "M" for character in unicodedata.normalize("NFD", text)):
            return encoding.ids, None
        before = bytes_before(text)
        return encoding.ids, [[before[start], before[end]] for start, end in encoding.offsets]

    def decode(self, ids):
        return self.tokenizer.decode(ids)


class Unigram:
    def __init__(self, path):
        self.processor = sentencepiece.SentencePieceProcessor(model_file=path)

    def encode(self, text):
        pieces = self.processor.encode(text, return_type="proto").pieces
        return [piece.id for piece in pieces], [[piece.begin, piece.end] for piece in pieces]

    def decode(self, ids):
        return self.processor.decode(ids)


def mingle(arguments, command, vocabulary, text):
    process = subprocess.run(
        [arguments.mingle, "tokenizer", command, vocabulary, "--json"], input=text.encode(),
        stdout=subprocess.PIPE, check=True,
    )
    return json.loads(process.stdout)


def compare(arguments, vocabulary, name, lines):
    package = Unigram(vocabulary) if vocabulary.endswith(".model") else WordPiece(vocabulary)
    ours = mingle(arguments, "encode", vocabulary, "\n".join(lines) + "\n")
    decoded = mingle(
        arguments, "decode", vocabulary, "\n".join(" ".join(map(str, item["ids"])) for item in ours) + "\n"
    )
    assert len(ours) == len(lines) == len(decoded), (len(ours), len(lines), len(decoded))
    wrong = dict(ids=[], ranges=[], text=[])
    tokens = 0
    for line, item, back in zip(lines, ours, decoded):
        ids, ranges = package.encode(line)
        tokens += len(ids)
        if item["ids"] != ids:
            wrong["ids"].append(line)
        elif ranges is not None and item["ranges"] != ranges:
            wrong["ranges"].append(line)
        if back["text"] != package.decode(ids):
            wrong["text"].append(line)
    counts = ", ".join(f"{len(found)} {kind}" for kind, found in wrong.items())
    print(f"{vocabulary} {name}: {len(lines)} lines, {tokens} tokens; differ: {counts}", flush=True)
    for kind, found in wrong.items():
        for line in found[:3]:
            print(f"  {kind}: {ascii(line[:300])}")
    return any(wrong.values())


def train(arguments, size=8000):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [arguments.mingle, "tokenizer", "train", "--vocabulary", str(size), "--output", f"{folder}/m.model"]
            + ["--data", *arguments.files], check=True,
        )
        sentencepiece.SentencePieceTrainer.train(
            input=arguments.files, model_prefix=f"{folder}/p", vocab_size=size, pad_id=0, unk_id=1,
            bos_id=-1, eos_id=-1, control_symbols=["<cls>", "<sep>", "<mask>"], minloglevel=2,
            max_sentence_length=1 << 30,
        )
        ours, theirs = (
            sentencepiece.SentencePieceProcessor(model_file=f"{folder}/{name}.model") for name in "mp"
        )
        scores = [
            {model.id_to_piece(index): model.get_score(index) for index in range(model.get_piece_size())}
            for model in (ours, theirs)
        ]
        common = scores[0].keys() & scores[1].keys()
        distance = max(abs(scores[0][piece] - scores[1][piece]) for piece in common)
        print(f"trained: {len(common)} of {size} pieces in common, scores differ by {distance:.2g}")
        return len(common) < size


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mingle", default="mingle")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lines", type=int, default=20000)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("vocabularies", nargs="*")
    parser.add_argument("--files", nargs="*", default=[])
    arguments = parser.parse_args()
    generator = random.Random(arguments.seed)
    texts = {"random": list(random_lines(generator, arguments.lines)), "every character": list(every_character())}
    texts["long"] = ["".join(random_lines(generator, 5000)) + "lunch ==== " * 20000]
    for file in arguments.files:
        texts[file] = pathlib.Path(file).read_bytes().decode("utf8", "replace").replace("\r", " ").split("\n")
    failed = False
    for vocabulary in arguments.vocabularies:
        for name, lines in texts.items():
            failed |= compare(arguments, vocabulary, name, lines)
    if arguments.train:
        failed |= train(arguments)
    sys.exit(failed)


if __name__ == "__main__":
    main()
