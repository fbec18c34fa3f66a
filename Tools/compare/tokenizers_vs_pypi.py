"""Compares `mingle tokenizer` with the PyPI packages tokenizers and sentencepiece.

    python tokenizers_vs_pypi.py [--mingle PATH] [--seeds N...] [--lines N] [--train SIZE...] [--quick] [--speed]
        [--vocabularies VOCABULARY...] [--files FILE...]

Needs tokenizers, sentencepiece and protobuf. Each vocabulary (a .model or a vocab.txt) tokenises
random texts of all of Unicode (empty ones, long words, lines within a text), every code point by itself, one
long line, and the files; random ids are decoded. Ids and decoded text must be equal, and ranges too, but for
WordPiece texts with combining marks, where `tokenizers` counts in a changed text. With --train both train
unigram models of these sizes on the files; their pieces must be equal, and the tokens, bytes per token and
bits per byte of the files' text, counted by `sentencepiece`, are shown. With --speed nothing is compared but
the processor time in which the command and the packages, line by line, encode the files.
"""

import argparse
import collections
import json
import math
import pathlib
import random
import resource
import subprocess
import sys
import tempfile
import time
import unicodedata

import sentencepiece
from tokenizers import BertWordPieceTokenizer

SYMBOLS = ["[MASK]", "[CLS]", "[UNK]", "<mask>", "<unk>", "==", "@-@", "<0x41>", "[", "<", "▁", "\u2585"]
MARKS = [0x300, 0x301, 0x323, 0x8D4, 0x1D165, 0x302E, 0x5B0, 0xF71, 0x64B, 0x93C, 0x3099, 0x10D24]
SPACES = [0x20, 0x20, 0x09, 0xA0, 0x3000, 0x200B, 0x200D, 0xAD, 0xFEFF, 0xFFFD, 0x00, 0x85, 0x2028]


def scalar(generator, first, last):
    while True:
        code = generator.randrange(first, last)
        if not 0xD800 <= code < 0xE000:
            return chr(code)


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
    return scalar(generator, *generator.choice(ranges))


# Kinds of text, each of a few ranges of characters.
KINDS = {
    "english": [(0x20, 0x7F)], "latin": [(0x20, 0x7F), (0xA0, 0x250), (0x1E00, 0x1F00)],
    "marks": [(0x61, 0x7B), (0x300, 0x370), (0x1DC0, 0x1E00), (0x20D0, 0x2100)],
    "right to left": [(0x590, 0x900), (0xFB1D, 0xFE00), (0x200E, 0x2010)],
    "hangul": [(0x1100, 0x1200), (0xAC00, 0xD7B0)],
    "chinese": [(0x3000, 0x3100), (0x4E00, 0xA000), (0x20000, 0x30000)], "indic": [(0x900, 0xE00)],
    "emoji": [(0x1F300, 0x1FB00), (0x1F1E6, 0x1F200), (0x200D, 0x200E), (0xFE0F, 0xFE10), (0x1F3FB, 0x1F400)],
    "controls": [(0, 0x20), (0x7F, 0xA1), (0x2000, 0x2070), (0xFFF0, 0x10000), (0x61, 0x63)],
    "private": [(0xE000, 0xF900), (0xF0000, 0x110000), (0x61, 0x63)], "planes": [(0x10000, 0x20000)],
    "compatibility": [(0xF900, 0x10000), (0x2100, 0x2500), (0x3200, 0x3400), (0x1D400, 0x1D800)],
    "edges": [(0xD7FB, 0xD800), (0xE000, 0xE005), (0xFFF8, 0x10003), (0x10FFF0, 0x110000), (0x1FFFA, 0x20002)],
}


def random_text(generator):
    length = generator.choice([0, 1, 2, 3, 10, 40, 100])
    draw = generator.random()
    if draw < 0.5:
        return "".join(random_character(generator) for _ in range(length))
    ranges = KINDS[generator.choice(list(KINDS))]
    space = 0 if draw < 0.6 else 0.2  # without spaces: long words
    characters = (
        " " if generator.random() < space else scalar(generator, *generator.choice(ranges)) for _ in range(length)
    )
    return "".join(characters) * (generator.choice([1, 3, 30]) if draw > 0.98 else 1)


def random_lines(generator, count):
    for _ in range(count):
        yield random_text(generator).replace("\n", " ").replace("\r", " ")


def random_paragraphs(generator, count):
    """Texts with line ends inside; without NUL, which no argument may hold."""
    for _ in range(count):
        lines = [random_text(generator)[:40].replace("\0", " ") for _ in range(generator.randrange(1, 5))]
        yield generator.choice(["\n", "\r\n", "\r", "\n\n", "\u2028"]).join(lines)


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

    def ids(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids):
        return self.tokenizer.decode(ids)

    def size(self):
        return self.tokenizer.get_vocab_size()


class Unigram:
    def __init__(self, path):
        self.processor = sentencepiece.SentencePieceProcessor(model_file=path)

    def encode(self, text):
        pieces = self.processor.encode(text, return_type="proto").pieces
        return [piece.id for piece in pieces], [[piece.begin, piece.end] for piece in pieces]

    def ids(self, text):
        return self.processor.encode(text)

    def decode(self, ids):
        return self.processor.decode(ids)

    def size(self):
        return self.processor.get_piece_size()


def mingle(arguments, command, vocabulary, lines):
    call = [arguments.mingle, "tokenizer", command, vocabulary, "--json"]
    if not any("\n" in line or "\r" in line for line in lines):
        text = "".join(line + "\n" for line in lines)
        return json.loads(subprocess.run(call, input=text.encode(), stdout=subprocess.PIPE, check=True).stdout)
    results = []
    for start in range(0, len(lines), 500):
        process = subprocess.run(call + ["--"] + lines[start : start + 500], stdout=subprocess.PIPE, check=True)
        results += json.loads(process.stdout)
    return results


TOTALS = collections.Counter()


def compare(arguments, vocabulary, package, name, lines):
    ours = mingle(arguments, "encode", vocabulary, lines)
    decoded = mingle(arguments, "decode", vocabulary, [" ".join(map(str, item["ids"])) for item in ours])
    assert len(ours) == len(lines) == len(decoded), (len(ours), len(lines), len(decoded))
    wrong = dict(ids=[], ranges=[], text=[])
    tokens = 0
    for line, item, back in zip(lines, ours, decoded):
        ids, ranges = package.encode(line)
        tokens += len(ids)
        if item["ids"] != ids:
            wrong["ids"].append(line)
        elif ranges is not None:
            TOTALS["texts with ranges"] += 1
            if item["ranges"] != ranges:
                wrong["ranges"].append(line)
        if back["text"] != package.decode(ids):
            wrong["text"].append(line)
    TOTALS.update({"texts": len(lines), "tokens": tokens, "bytes": sum(len(line.encode()) for line in lines)})
    TOTALS.update({f"other {kind}": len(found) for kind, found in wrong.items()})
    counts = ", ".join(f"{len(found)} {kind}" for kind, found in wrong.items())
    print(f"{vocabulary} {name}: {len(lines)} lines, {tokens} tokens; differ: {counts}", flush=True)
    for kind, found in wrong.items():
        for line in found[:3]:
            print(f"  {kind}: {ascii(line[:300])}")
    return any(wrong.values())


def compare_decoding(arguments, vocabulary, package, generator, count):
    size = package.size()
    lists = [[generator.randrange(size) for _ in range(generator.randrange(12))] for _ in range(count)]
    decoded = mingle(arguments, "decode", vocabulary, [" ".join(map(str, ids)) for ids in lists])
    wrong = [ids for ids, item in zip(lists, decoded) if package.decode(ids) != item["text"]]
    TOTALS.update({"lists of ids": len(lists), "other text": len(wrong)})
    print(f"{vocabulary} random ids: {len(lists)} lists; differ: {len(wrong)} text", flush=True)
    for ids in wrong[:3]:
        print(f"  {ids}")
    return bool(wrong)


def children_time():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def speed(arguments, vocabulary, package, rounds=3):
    """Megabytes per second of processor time; the command's includes its start, reading and printing."""
    text = b"".join(pathlib.Path(file).read_bytes() for file in arguments.files)
    lines = text.decode("utf8", "replace").split("\n")

    ours, theirs = [], []
    for _ in range(rounds):
        started = children_time()
        call = [arguments.mingle, "tokenizer", "encode", "--ids", vocabulary]
        subprocess.run(call, input=text, stdout=subprocess.DEVNULL, check=True)
        ours.append(children_time() - started)
        started = time.process_time()
        for line in lines:
            package.ids(line)
        theirs.append(time.process_time() - started)
    rates = [len(text) / min(times) / 1e6 for times in (ours, theirs)]
    print(f"{vocabulary} {len(text)} bytes: mingle {rates[0]:.1f} MB/s, package {rates[1]:.1f} MB/s", flush=True)


def quality(processor, files):
    """Tokens, bytes per token, and bits per byte of the likeliest spellings."""
    tokens = size = 0
    score = 0.0
    for file in files:
        for line in pathlib.Path(file).read_text().split("\n"):
            ids = processor.encode(line)
            tokens += len(ids)
            size += len(line.encode())
            score += sum(map(processor.get_score, ids))
    return f"{tokens} tokens, {size / tokens:.4f} bytes per token, {-score / math.log(2) / size:.5f} bits per byte"


def train(arguments, size):
    with tempfile.TemporaryDirectory() as folder:
        started = children_time()
        subprocess.run(
            [arguments.mingle, "tokenizer", "train", "--vocabulary", str(size), "--output", f"{folder}/m.model"]
            + ["--data", *arguments.files], check=True,
        )
        ours, started = children_time() - started, time.process_time()
        sentencepiece.SentencePieceTrainer.train(
            input=arguments.files, model_prefix=f"{folder}/p", vocab_size=size, pad_id=0, unk_id=1,
            bos_id=-1, eos_id=-1, control_symbols=["<cls>", "<sep>", "<mask>"], minloglevel=2,
            max_sentence_length=1 << 30,
        )
        theirs = time.process_time() - started
        print(f"{size} pieces: mingle {ours:.1f} s, package {theirs:.1f} s of processor time")
        ours, theirs = (
            sentencepiece.SentencePieceProcessor(model_file=f"{folder}/{name}.model") for name in "mp"
        )
        scores = [
            {model.id_to_piece(index): model.get_score(index) for index in range(model.get_piece_size())}
            for model in (ours, theirs)
        ]
        common = scores[0].keys() & scores[1].keys()
        distance = max(abs(scores[0][piece] - scores[1][piece]) for piece in common)
        print(f"{len(common)} of {size} pieces in common, scores differ by {distance:.2g}")
        print(f"mingle's: {quality(ours, arguments.files)}\npackage's: {quality(theirs, arguments.files)}")
        return len(common) < size


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mingle", default="mingle")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--lines", type=int, default=20000)
    parser.add_argument("--quick", action="store_true", help="leave out every code point and the long line")
    parser.add_argument("--speed", action="store_true", help="measure, compare nothing")
    parser.add_argument("--train", type=int, nargs="*", default=[], metavar="SIZE")
    parser.add_argument("--vocabularies", nargs="*", default=[])
    parser.add_argument("--files", nargs="*", default=[])
    arguments = parser.parse_args()
    if arguments.speed:
        for vocabulary in arguments.vocabularies:
            package = Unigram(vocabulary) if vocabulary.endswith(".model") else WordPiece(vocabulary)
            speed(arguments, vocabulary, package)
        return
    texts = {}
    for seed in arguments.seeds:
        generator = random.Random(seed)
        texts[f"random, seed {seed}"] = list(random_lines(generator, arguments.lines))
        texts[f"paragraphs, seed {seed}"] = list(random_paragraphs(generator, arguments.lines // 10))
    if not arguments.quick:
        texts["every character"] = list(every_character())
        texts["long"] = ["".join(random_lines(random.Random(0), 5000)) + "lunch ==== " * 20000]
    for file in arguments.files:
        texts[file] = pathlib.Path(file).read_bytes().decode("utf8", "replace").replace("\r", " ").split("\n")
    failed = False
    for vocabulary in arguments.vocabularies:
        package = Unigram(vocabulary) if vocabulary.endswith(".model") else WordPiece(vocabulary)
        TOTALS.clear()
        for name, lines in texts.items():
            failed |= compare(arguments, vocabulary, package, name, lines)
        generator = random.Random(arguments.seeds[0])
        failed |= compare_decoding(arguments, vocabulary, package, generator, arguments.lines)
        print(f"{vocabulary} in all: " + ", ".join(f"{count} {name}" for name, count in TOTALS.items()), flush=True)
    for size in arguments.train:
        failed |= train(arguments, size)
    sys.exit(failed)


if __name__ == "__main__":
    main()
