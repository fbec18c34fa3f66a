"""Writes the files in Tests/DataTests/Golden with the PyPI packages.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3 protobuf && python Tools/tokenizer-goldens.py [symbols]

Small vocabularies of three kinds, and tokens.json: texts, what they become and what that decodes to.
The vocabularies learn from this repository's own documents. With "symbols" only symbols.model and
symbols.json are written: a model of drawn pieces and scores, many of them positive, so that what a
user-defined symbol scores decides.
"""

import io
import json
import pathlib
import random
import sys

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as messages
from tokenizers import BertWordPieceTokenizer

ROOT = pathlib.Path(__file__).parent.parent
FOLDER = ROOT / "Tests/DataTests/Golden"
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]

# Rules of an own character map: single characters, sequences, one that takes a character away.
RULES = [("41 301", "C1"), ("FF21", "41"), ("FB01", "66 69"), ("AD", ""), ("9", "20"), ("3000", "20")]
RULES += [("65 301", "E9"), ("65 323 301", "1EB9 301"), ("200B", "20"), ("2126", "3A9")]

TEXTS = [
    "", " ", "\t", "Hello world", "  two  spaces  and a tab\there ", "It's don't we're. Yes! No? a , b",
    "unaffable networks", "naïve café Ångström İstanbul ẞ ﬁne Ａ", "e\u0301 a\u0323\u0301 A\u0301",
    "汉字 and 漢字漢字", "한국어 각", "日本語のテキスト", "Привет, мир", "שָׁלוֹם", "😀 👩‍👩‍👧 x", "a\u0000b\ufffdc\u200d\u00add",
    "[MASK] and x[SEP]y [mask] [UNK][PAD]", "<mask> <cls> <unk> x<mask>y==z <0x41>", "▁ a▁b ▁▁", "\u2585x",
    "line\rfeed\u2028sep\u0085next\x0bv", "$ + < = > ^ ` | ~ _ - – — « » ¿ § ©", "a" * 100, "b" * 101, "…”“’‘",
    "\u0300start", "x\u302e\U0001d165\u08d4y", "१२३ ٣٤ Ⅷ ² ½", "\ud7a3\u1100\u1161\u11a8", "\U0001e900\U0001e922",
]


def randomly(generator):
    ranges = [(0x20, 0x7F)] * 5 + [(0x80, 0x250), (0x250, 0x1200), (0x1200, 0x3400), (0x300, 0x370)]
    ranges += [(0x3400, 0xA000), (0xA000, 0xD7FF), (0xE000, 0x10000), (0x10000, 0x20000)]
    return "".join(chr(generator.randrange(*generator.choice(ranges))) for _ in range(12))


def bytes_before(text):
    offsets = [0]
    for character in text:
        offsets.append(offsets[-1] + len(character.encode()))
    return offsets


def wordpiece(texts):
    path = str(FOLDER / "vocab.txt")
    trained = BertWordPieceTokenizer(lowercase=False)
    documents = [document.read_text() for document in DOCUMENTS] + ["é e\u0301 ä ö ü 汉 字 ς Σ ß İ i 각 ᄀ ᅡ ᆨ"] * 3
    trained.train_from_iterator(documents, vocab_size=900, show_progress=False)
    trained.save_model(str(FOLDER))
    for lowercase in (False, True):
        tokenizer = BertWordPieceTokenizer(path, lowercase=lowercase)
        cases = []
        for text in texts:
            encoding = tokenizer.encode(text, add_special_tokens=False)
            before = bytes_before(text)
            ranges = [[before[start], before[end]] for start, end in encoding.offsets]
            cases.append([text, encoding.ids, ranges, tokenizer.decode(encoding.ids)])
        yield "uncased" if lowercase else "cased", cases


def unigram(name, texts, **options):
    model = io.BytesIO()
    lines = [line for document in DOCUMENTS for line in document.read_text().split("\n") if line]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, num_threads=1, minloglevel=2, **options
    )
    proto = messages.ModelProto.FromString(model.getvalue())
    rules = proto.normalizer_spec
    rules.normalization_rule_tsv = pathlib.Path(rules.normalization_rule_tsv).name  # no one's folder
    (FOLDER / f"{name}.model").write_bytes(proto.SerializeToString())
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    for text in texts:
        pieces = processor.encode(text, return_type="proto").pieces
        ids = [piece.id for piece in pieces]
        yield [text, ids, [[piece.begin, piece.end] for piece in pieces], processor.decode(ids)]


def symbols():
    """Texts of four letters; about half of the likeliest spellings hinge on a user-defined symbol's score."""
    generator = random.Random(8)
    kinds = messages.ModelProto.SentencePiece
    model = messages.ModelProto()
    model.trainer_spec.model_type = messages.TrainerSpec.UNIGRAM
    model.normalizer_spec.add_dummy_prefix = False
    model.pieces.add(piece="<unk>", score=0, type=kinds.UNKNOWN)
    seen = set()
    for length in [1, 1, 1] + [2, 3, 4, 5] * 14:
        text = "".join(generator.choices("abcé", k=length))
        if text not in seen:
            seen.add(text)
            is_symbol = length in (2, 4) and generator.random() < 0.4
            score = generator.choice([5.0, -5.0]) if is_symbol else generator.uniform(-0.3, 0.2 * length)
            kind = kinds.USER_DEFINED if is_symbol else kinds.UNUSED if generator.random() < 0.1 else kinds.NORMAL
            model.pieces.add(piece=text, score=score, type=kind)
    (FOLDER / "symbols.model").write_bytes(model.SerializeToString())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    texts = ["".join(generator.choices("aaabbbcccéé ", k=12)) for _ in range(150)]
    write("symbols.json", [[text, processor.encode(text)] for text in texts])


def write(name, goldens):
    text = json.dumps(goldens, ensure_ascii=True, separators=(",", ":"))
    (FOLDER / name).write_text(text.replace('],["', '],\n["') + "\n")


def main():
    FOLDER.mkdir(exist_ok=True)
    symbols()
    if sys.argv[1:] == ["symbols"]:
        return
    generator = random.Random(1)
    texts = TEXTS + [randomly(generator) for _ in range(60)]
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    rules = FOLDER / "rules.tsv"
    rules.write_text("".join(f"{key}\t{value}\n" for key, value in RULES))
    special = dict(pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols=["<cls>", "<sep>", "<mask>"])
    goldens = dict(wordpiece(texts))
    goldens["unigram"] = list(
        unigram("unigram", texts, vocab_size=600, normalization_rule_tsv=str(rules), **special)
    )
    goldens["bytes"] = list(
        unigram(
            "bytes", texts, vocab_size=700, normalization_rule_name="identity", byte_fallback=True,
            remove_extra_whitespaces=False, user_defined_symbols=["<mask>", "==", "naïve c"],
        )
    )
    rules.unlink()
    standard = sentencepiece.SentencePieceNormalizer(
        rule_name="nmt_nfkc", add_dummy_prefix=True, escape_whitespaces=True,
        remove_extra_whitespaces=True,
    )
    letters = [chr(code) for code in range(0x1100, 0x1180, 7)] + list("각ﬁ½Ａ①㍿ｶﾞ\uff9e\u3099か")
    joined = ["".join(generator.choices(letters, k=8)) for _ in range(40)]
    write("tokens.json", goldens)
    write("nmt_nfkc.json", [[text, standard.normalize(text)] for text in texts + joined])


if __name__ == "__main__":
    main()
